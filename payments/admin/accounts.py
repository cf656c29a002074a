"""How a restaurant takes cards: its accounts with providers and its card readers.

Owners put keys in and never see them again; managers look, and have a provider asked. Pages that ask a
provider run outside of a transaction.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from accounts.models import Role
from fynlo.errors import DomainError
from fynlo.money import format_money
from fynlo.office import MoneyField, OfficeAdmin
from fynlo.tenancy.scope import restaurant_scope
from payments.errors import ConsentInvalid
from payments.models import Provider, ProviderAccount, Terminal
from payments.services import keeping
from payments.services.cards import webhook_address

Kind = ProviderAccount.Kind
Status = ProviderAccount.Status

KEY = forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 48, "spellcheck": "false"})


@dataclass(frozen=True, slots=True)
class Guide:
    """What a provider's account consists of, and where at the provider to find it.

    `keys` are written once and never shown; `names` are not secret. `lists` are keys of which the
    provider may have two at a time.
    """

    summary: str
    keys: dict[str, tuple[str, str]]
    names: dict[str, tuple[str, str]]
    lists: frozenset[str]
    webhook_help: str
    needed_names: frozenset[str] = frozenset()


GUIDES = {
    Provider.STRIPE: Guide(
        "Cards on a Stripe reader, on your own pages and by payment link.",
        {
            "secret_key": ("Secret key", "Begins with sk_ or rk_. At Stripe: Developers, API keys."),
            "publishable_key": ("Publishable key", "Begins with pk_; for payments on your own pages."),
            "webhook_secrets": ("Webhook signing secret", "Begins with whsec_. Stripe shows it afterwards."),
        },
        {},
        frozenset({"webhook_secrets"}),
        "At Stripe: Developers, Webhooks, Add endpoint. Send the payment_intent, charge, refund and "
        "terminal events, then put the signing secret that Stripe shows in under Replace keys.",
    ),
    Provider.SQUARE: Guide(
        "Cards on a Square Terminal, online and by payment link.",
        {
            "access_token": ("Access token", "At Square: Developer console, your application, Credentials."),
            "webhook_signature_keys": ("Webhook signature key", "Square shows it afterwards."),
        },
        {
            "location_id": ("Location ID", "Which of your places sells: Developer console, Locations."),
            "external_account_id": ("Merchant ID", "May be left empty."),
        },
        frozenset({"webhook_signature_keys"}),
        "At Square: Developer console, Webhooks, Add subscription. Send the payment, refund, dispute and "
        "terminal.checkout events, then put the signature key in under Replace keys.",
    ),
    Provider.SUMUP: Guide(
        "Cards on a SumUp Solo, and by payment page.",
        {
            "api_key": ("API key", "At SumUp: Settings, For developers, API keys."),
            "affiliate_key": ("Affiliate key", "For the Solo: Settings, For developers, Affiliate keys."),
            "app_id": ("App ID", "The one that the affiliate key was made for."),
            "webhook_secrets": ("Webhook secret", "SumUp shows it afterwards."),
        },
        {"external_account_id": ("Merchant code", "At SumUp: Profile; such as MC0X0ABC.")},
        frozenset({"webhook_secrets"}),
        "At SumUp: For developers, Webhooks. Fynlo asks SumUp by itself too, so payments work without.",
        frozenset({"external_account_id"}),
    ),
}
# Where the platform's own account at Stripe may open accounts for restaurants.
COUNTRIES = [
    *[("GB", "United Kingdom"), ("IE", "Ireland"), ("AT", "Austria"), ("AU", "Australia"), ("BE", "Belgium")],
    *[("CA", "Canada"), ("CH", "Switzerland"), ("CZ", "Czechia"), ("DE", "Germany"), ("DK", "Denmark")],
    *[("ES", "Spain"), ("FI", "Finland"), ("FR", "France"), ("IT", "Italy"), ("LU", "Luxembourg")],
    *[("NL", "Netherlands"), ("NO", "Norway"), ("NZ", "New Zealand"), ("PL", "Poland"), ("PT", "Portugal")],
    *[("SE", "Sweden"), ("SG", "Singapore"), ("US", "United States")],
]


class KeysForm(forms.Form):
    """Keys of one provider. `for_new` asks for all that an account needs; else what is empty stays."""

    def __init__(self, provider: str, *args: Any, for_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.guide = guide = GUIDES[Provider(provider)]
        for n, (name, (label, help_text)) in enumerate(guide.keys.items()):
            self.fields[name] = forms.CharField(
                label=label,
                help_text=help_text,
                max_length=300,
                required=for_new and n == 0,
                widget=KEY,
                error_messages={"required": "This key is needed."},
            )
        for name, (label, help_text) in guide.names.items() if for_new else ():
            self.fields[name] = forms.CharField(
                label=label, help_text=help_text, max_length=80, required=name in guide.needed_names
            )

    @property
    def secrets(self) -> dict[str, Any]:
        """As the services take them: those that were typed in."""
        given = {name: self.cleaned_data[name] for name in self.guide.keys if self.cleaned_data[name]}
        return {name: [value] if name in self.guide.lists else value for name, value in given.items()}

    @property
    def names(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in self.guide.names}

    def refuse(self, refusal: DomainError) -> None:
        self.add_error(refusal.field if refusal.field in self.fields else None, refusal.message)


class SettingsForm(forms.Form):
    priority = forms.IntegerField(
        min_value=0,
        max_value=100,
        label="Place in the row",
        help_text="With several accounts the one with the lowest number is asked first.",
    )
    fee_percent = forms.DecimalField(
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=6,
        decimal_places=3,
        label="Provider's fee, percent",
        help_text="An estimate for the reports, until the provider says what it kept.",
    )

    def __init__(self, *args: Any, currency: str, has_locations: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["fee_fixed_minor"] = MoneyField(
            currency=currency, label=f"and for each payment ({currency})"
        )
        if has_locations:
            self.fields["location_id"] = forms.CharField(
                max_length=80,
                required=False,
                label="Location ID",
                help_text="Which of your places sells here. At Square: Settings, Business, Locations.",
            )

    def clean_fee_fixed_minor(self) -> int:
        fee: int = self.cleaned_data["fee_fixed_minor"]
        if fee < 0:
            raise forms.ValidationError("A fee is not below nothing.")
        return fee


class ConnectForm(forms.Form):
    country = forms.ChoiceField(choices=COUNTRIES, label="Where the business is")
    email = forms.EmailField(max_length=254, label="E-mail address for Stripe")


class LabelForm(forms.Form):
    label = forms.CharField(max_length=60)


@admin.register(ProviderAccount)
class ProviderAccountAdmin(OfficeAdmin):
    empty_text = "No card payments yet: an owner adds an account of Stripe, Square or SumUp."
    can_add = can_delete = False  # adding is the owner's, see below
    change_list_template = "backoffice/payment_accounts.html"
    list_display = ["account", "standing", "readers", "key", "place"]
    list_display_links = ["account"]
    actions = None

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return is_owner(request)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return is_owner(request)

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).prefetch_related("terminals")

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"title": "Card payments", **(extra_context or {})})

    @admin.display(description="account", ordering="provider")
    def account(self, row: ProviderAccount) -> str:
        return name_of(row)

    @admin.display(description="at present", ordering="status")
    def standing(self, row: ProviderAccount) -> str:
        return in_words(row)

    @admin.display(description="card readers")
    def readers(self, row: ProviderAccount) -> str:
        return ", ".join(terminal.label for terminal in row.terminals.all() if terminal.is_active) or "none"

    @admin.display(description="key ends in", empty_value="no key of its own")
    def key(self, row: ProviderAccount) -> str | None:
        return row.key_hint.removeprefix("…") or None

    @admin.display(description="place in the row", ordering="priority")
    def place(self, row: ProviderAccount) -> int:
        return row.priority

    # The pages. Those in `networked_view` ask a provider.

    def get_urls(self) -> list[Any]:
        inside, outside = self.admin_site.admin_view, self.admin_site.networked_view
        one = "<uuid:account_id>/"
        return [
            path("add/", outside(self.add_page), name="payments_provideraccount_add"),
            path("connect/", outside(self.connect_page), name="payments_account_connect"),
            path("connect-square/", outside(self.square_page), name="payments_account_connect_square"),
            path("square/", outside(self.come_back_from_square), name="payments_account_square"),
            path(f"{one}change/", inside(self.page), name="payments_provideraccount_change"),
            path(f"{one}check/", outside(self.press_check), name="payments_account_check"),
            path(f"{one}readers/", outside(self.refresh), name="payments_account_readers"),
            path(f"{one}readers/<uuid:terminal_id>/", inside(self.rename), name="payments_account_reader"),
            path(f"{one}keys/", outside(self.keys_page), name="payments_account_keys"),
            path(f"{one}disconnect/", outside(self.disconnect_page), name="payments_account_disconnect"),
            path(f"{one}connected/", outside(self.come_back), name="payments_account_connected"),
            path(f"{one}resume/", outside(self.resume_page), name="payments_account_resume"),
            *super().get_urls(),
        ]

    def page(self, request: Any, account_id: UUID) -> HttpResponse:
        """One account: how it stands, what to enter at the provider, its readers and its settings."""
        row = _row(account_id)
        form = SettingsForm(
            request.POST if request.method == "POST" else None,
            currency=request.restaurant.currency,
            has_locations=row.provider == Provider.SQUARE,
            initial={name: getattr(row, name) for name in keeping.CHANGEABLE},
        )
        if request.method == "POST" and form.is_valid():
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            keeping.change_account(account_id, changes, by=request.staff)
            messages.success(request, "Saved.")
            return _to(account_id)
        shown: dict[str, Any] = {
            "row": row,
            "form": form,
            "standing": in_words(row),
            "webhook_url": webhook_address(row) if row.kind == Kind.OWN_KEYS else "",
            "guide": GUIDES[Provider(row.provider)],
            "terminals": row.terminals.filter(is_active=True),
            "fee": f"{row.fee_percent.normalize():f} % + "
            + format_money(row.fee_fixed_minor, request.restaurant.currency),
            "last_webhook": _last_webhook(row),
            "is_owner": is_owner(request),
            "is_connect": row.kind == Kind.STRIPE_CONNECT,
            "is_own": row.kind == Kind.OWN_KEYS,
            "is_consent": row.kind == Kind.SQUARE_OAUTH,
        }
        return self._render(request, "payment_account", name_of(row), shown)

    def add_page(self, request: Any) -> HttpResponse:
        """First which provider, then its keys; saved, the provider is asked whether it takes them."""
        if not is_owner(request):
            return _only_owners(self, request)
        provider = request.GET.get("provider", "")
        if provider not in GUIDES:
            shown = {
                "choices": [(name, Provider(name).label, guide.summary) for name, guide in GUIDES.items()],
                "may_connect": keeping.may_connect_stripe(),
                "may_connect_square": keeping.may_connect_square(),
            }
            shown["connectable"] = [
                *([Provider.STRIPE] if shown["may_connect"] else []),
                *([Provider.SQUARE] if shown["may_connect_square"] else []),
            ]
            return self._render(request, "payment_account_add", "Take cards", shown)
        form = KeysForm(provider, request.POST if request.method == "POST" else None, for_new=True)
        title = f"Take cards with {Provider(provider).label}"
        if request.method == "POST" and form.is_valid():
            try:
                with restaurant_scope(request.staff.restaurant_id):
                    row = keeping.add_account(
                        provider=provider, secrets=form.secrets, **form.names, by=request.staff
                    )
            except DomainError as refusal:
                form.refuse(refusal)
            else:
                self._ask_about(request, row.pk)
                return _to(row.pk)
        return self._render(request, "payment_account_keys", title, {"form": form, "for_new": True})

    def keys_page(self, request: Any, account_id: UUID) -> HttpResponse:
        """New keys for the same account, or only a webhook secret."""
        if not is_owner(request):
            return _only_owners(self, request)
        with restaurant_scope(request.staff.restaurant_id):
            row = _row(account_id)
        if row.kind != Kind.OWN_KEYS:
            raise Http404
        form = KeysForm(row.provider, request.POST if request.method == "POST" else None, for_new=False)
        if request.method == "POST" and form.is_valid():
            try:
                with restaurant_scope(request.staff.restaurant_id):
                    keeping.replace_keys(account_id, form.secrets, by=request.staff)
            except DomainError as refusal:
                form.refuse(refusal)
            else:
                self._ask_about(request, account_id)
                return _to(account_id)
        shown = {"form": form, "row": row}
        return self._render(request, "payment_account_keys", f"Replace keys: {name_of(row)}", shown)

    def press_check(self, request: Any, account_id: UUID) -> HttpResponse:
        """The button "Check": ask the provider, and say what it says."""
        if request.method == "POST":
            self._ask_about(request, account_id)
        return _to(account_id)

    def refresh(self, request: Any, account_id: UUID) -> HttpResponse:
        """The button "Refresh readers"."""
        if request.method == "POST":
            self._try(request, lambda: _found(keeping.refresh_terminals(account_id, by=request.staff)))
        return _to(account_id)

    def rename(self, request: Any, account_id: UUID, terminal_id: UUID) -> HttpResponse:
        form = LabelForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            label = form.cleaned_data["label"]
            terminal = keeping.rename_terminal(account_id, terminal_id, label, by=request.staff)
            messages.success(request, f"The card reader is called {terminal.label}.")
        return _to(account_id)

    def disconnect_page(self, request: Any, account_id: UUID) -> HttpResponse:
        """Asks first: tills offer it no more from then on."""
        if not is_owner(request):
            return _only_owners(self, request)
        with restaurant_scope(request.staff.restaurant_id):
            row = _row(account_id)
        if request.method == "POST":
            self._try(request, lambda: self._disconnect(request, row))
            return _to(account_id)
        shown = {"row": row, "is_consent": row.kind == Kind.SQUARE_OAUTH}
        return self._render(request, "payment_account_disconnect", f"Disconnect {name_of(row)}", shown)

    def _disconnect(self, request: Any, row: ProviderAccount) -> str:
        keeping.disconnect_account(row.pk, by=request.staff)
        return f"{name_of(row)} takes no more cards."

    def connect_page(self, request: Any) -> HttpResponse:
        """Open an account at Stripe through the platform: where the business is, then over to Stripe."""
        if not is_owner(request):
            return _only_owners(self, request)
        if not keeping.may_connect_stripe():
            raise Http404
        form = ConnectForm(
            request.POST if request.method == "POST" else None, initial={"email": request.user.email}
        )
        if request.method == "POST" and form.is_valid():
            return self._go_to_stripe(request, **form.cleaned_data)
        return self._render(request, "payment_account_connect", "Connect with Stripe", {"form": form})

    def square_page(self, request: Any) -> HttpResponse:
        """Over to Square, where the owner consents: a page with the link, as for Stripe."""
        if not is_owner(request):
            return _only_owners(self, request)
        if not keeping.may_connect_square():
            raise Http404
        shown = {"square_link": keeping.ask_for_square(by=request.staff)}
        return self._render(request, "payment_account_connect", "Connect with Square", shown)

    def come_back_from_square(self, request: Any) -> HttpResponse:
        """Where Square sends the owner back to, with a code for the consent or without."""
        if not is_owner(request):
            return _only_owners(self, request)
        try:
            if "code" not in request.GET:
                raise ConsentInvalid("Square was not allowed to connect the account: nothing has changed.")
            row = keeping.connect_square(
                code=request.GET["code"], state=request.GET.get("state", ""), by=request.staff
            )
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(reverse("admin:payments_provideraccount_changelist"))
        self._ask_about(request, row.pk)
        return _to(row.pk)

    def resume_page(self, request: Any, account_id: UUID) -> HttpResponse:
        """A link opens once: Stripe sends the owner here for another."""
        if not is_owner(request):
            return _only_owners(self, request)
        return self._go_to_stripe(request, country="GB", email=request.user.email)

    def come_back(self, request: Any, account_id: UUID) -> HttpResponse:
        """Where Stripe sends the owner back to: ask how far the account is."""
        self._ask_about(request, account_id)
        return _to(account_id)

    # What they share.

    def _go_to_stripe(self, request: Any, *, country: str, email: str) -> HttpResponse:
        """A page with the link: browsers let no form lead away to another site."""
        try:
            begun = keeping.connect_stripe(country=country, email=email, by=request.staff)
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(reverse("admin:payments_provideraccount_changelist"))
        return self._render(request, "payment_account_connect", "Connect with Stripe", {"link": begun.url})

    def _ask_about(self, request: Any, account_id: UUID) -> None:
        """Whether the provider takes the account and, where it does, which readers it has."""

        def ask() -> str:
            row = keeping.check_account(account_id, by=request.staff)
            if row.status != Status.ACTIVE:
                return ""
            return f"{row.get_provider_display()} takes the account. " + _found(
                keeping.refresh_terminals(account_id, by=request.staff)
            )

        self._try(request, ask)

    def _try(self, request: Any, ask: Callable[[], str]) -> None:
        try:
            answer = ask()
        except DomainError as refusal:
            messages.error(request, refusal.message)
        else:
            if answer:
                messages.success(request, answer)

    def _render(self, request: Any, template: str, title: str, shown: dict[str, Any]) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, **shown}
        return TemplateResponse(request, f"backoffice/{template}.html", context)


def is_owner(request: Any) -> bool:
    staff = getattr(request, "staff", None)
    return staff is not None and staff.has_role(Role.OWNER)


def name_of(row: ProviderAccount) -> str:
    more = "" if row.kind == Kind.OWN_KEYS else f" ({row.get_kind_display()})"
    test = " - test, no real money" if row.mode == ProviderAccount.Mode.TEST else ""
    return f"{row.get_provider_display()}{more}{test}"


LEFT = "What it took can still be given back."


def in_words(row: ProviderAccount) -> str:
    """How an account stands, as an owner would say it."""
    return {
        Status.ACTIVE: "Takes cards",
        Status.PENDING: f"Takes no cards yet. {row.status_detail}",
        Status.DEGRADED: f"Takes no cards: the provider refuses it. {row.status_detail}",
        Status.DISCONNECTED: "Disconnected: takes no more cards. "
        + ("To give back what it took, connect it again." if row.kind == Kind.SQUARE_OAUTH else LEFT),
    }[Status(row.status)].strip()


def _row(account_id: UUID) -> ProviderAccount:
    row: ProviderAccount | None = ProviderAccount.objects.filter(pk=account_id).first()
    if row is None:
        raise Http404
    return row


def _last_webhook(row: ProviderAccount) -> datetime.datetime | None:
    latest = row.webhooks.order_by("-received_at").values_list("received_at", flat=True).first()
    return timezone.localtime(latest) if latest else None


def _found(terminals: list[Terminal]) -> str:
    if not terminals:
        return "It has no card readers."
    names = ", ".join(terminal.label for terminal in terminals)
    return f"Card readers: {names}."


def _to(account_id: UUID) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:payments_provideraccount_change", args=[account_id]))


def _only_owners(page: ProviderAccountAdmin, request: HttpRequest) -> HttpResponse:
    response = page._render(request, "payment_account_owners", "Only owners", {})
    response.status_code = 403
    return response
