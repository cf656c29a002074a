"""What the kitchen's endpoints take, and how their answers look."""

from typing import Any

from rest_framework import serializers

from fynlo.api.serializers import FlagField, IdField, StrictSerializer

from .models import KitchenTicket, Order, OrderItem

# In


class StationSerializer(StrictSerializer):
    station = IdField(required=False, help_text="A station's id; left out, all of them.")


class NewsSerializer(StationSerializer):
    after = serializers.IntegerField(min_value=-1, max_value=2**62, help_text="The last event you have.")
    epoch = serializers.CharField(required=False, max_length=36, help_text="Of which log; from the snapshot.")


class ItemDoneSerializer(StrictSerializer):
    is_done = FlagField()


class NothingSerializer(StrictSerializer):
    """Nothing to say."""


# Out: these describe `ticket_payload` and `orders/kitchen.py`, which write the documents


class TicketItemSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    modifiers = serializers.ListField(child=serializers.CharField(), help_text="Names.")
    note = serializers.CharField(allow_blank=True)
    seat = serializers.IntegerField(allow_null=True)
    course = serializers.IntegerField()
    status = serializers.ChoiceField(choices=OrderItem.Status.choices)
    done_at = serializers.DateTimeField(allow_null=True)


class TicketSerializer(serializers.Serializer):
    """What one station makes for one sending of an order."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    order_number = serializers.IntegerField()
    order_kind = serializers.ChoiceField(choices=Order.Kind.choices)
    table = serializers.CharField(allow_null=True)
    covers = serializers.IntegerField()
    waiter = serializers.CharField()
    customer_name = serializers.CharField(allow_blank=True)
    order_note = serializers.CharField(allow_blank=True)
    station_id = serializers.UUIDField()
    station = serializers.CharField()
    number = serializers.IntegerField(help_text="Counts the tickets of the order.")
    status = serializers.ChoiceField(choices=KitchenTicket.Status.choices)
    version = serializers.IntegerField(help_text="Rises with every change.")
    is_add_on = serializers.BooleanField(help_text="Sent after an earlier ticket of the same order.")
    is_recalled = serializers.BooleanField()
    sent_at = serializers.DateTimeField()
    bumped_at = serializers.DateTimeField(allow_null=True)
    items = TicketItemSerializer(many=True)


class ShownTicketSerializer(TicketSerializer):
    displayed = serializers.BooleanField(
        help_text="Whether a screen of its station has confirmed to show it."
    )


class BoardSerializer(serializers.Serializer):
    """What is on a screen. Follow on with `kitchen/events?after=SEQ&epoch=EPOCH`, or by websocket."""

    t = serializers.CharField(help_text="snapshot")
    v = serializers.IntegerField()
    epoch = serializers.UUIDField(help_text="Names the log; `seq` of another one does not compare.")
    seq = serializers.IntegerField(help_text="The last event contained in this.")
    server_time = serializers.DateTimeField()
    tickets = ShownTicketSerializer(many=True, help_text="Oldest first.")
    recall = TicketSerializer(many=True, help_text="Bumped in the last half hour, newest first.")


class NewsAnswerSerializer(serializers.Serializer):
    """One message of docs/kitchen-protocol.md: `events`, a `snapshot`, or a `pong` where nothing is new."""

    t = serializers.CharField(help_text="events, snapshot or pong")

    def to_representation(self, instance: Any) -> Any:
        return instance


class DigestSerializer(serializers.Serializer):
    seq = serializers.IntegerField(help_text="Compare only at this event.")
    count = serializers.IntegerField(help_text="How many tickets are on the screen.")
    crc32 = serializers.IntegerField(help_text='Of the lines "ID VERSION", sorted, joined by newlines.')


class KitchenStationSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    open_tickets = serializers.IntegerField()


class KitchenStationsSerializer(serializers.Serializer):
    stations = KitchenStationSerializer(many=True)
