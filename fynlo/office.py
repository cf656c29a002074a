"""What the pages of the restaurants' back office have in common; each app's admin.py builds on it.

Knows no app. The site sets `request.staff` and `request.restaurant` on each request, see backoffice.py.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.paginator import Paginator
from django.db import models, transaction
from django.forms.models import BaseInlineFormSet
from django.utils.functional import cached_property

from fynlo.errors import DomainError
from fynlo.money import amount_text, to_minor
from fynlo.validation import check_form

COUNTED_ROWS = 5000


class MoneyField(forms.Field):
    """An amount as people type it, such as 12.50, kept as minor units of `currency`."""

    def __init__(self, *, currency: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.currency = currency
        self.widget.attrs.update(inputmode="decimal", maxlength=16, size=10)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, int) or value in self.empty_values:
            return value
        try:
            return to_minor(str(value).replace(",", ""), self.currency)
        except ValueError:
            example = amount_text(1250, self.currency)
            raise forms.ValidationError(
                f"Write an amount of {self.currency}, such as {example}.", code="invalid"
            ) from None

    def prepare_value(self, value: Any) -> Any:
        return amount_text(value, self.currency) if isinstance(value, int) else value


class OfficeForm(forms.ModelForm):
    """Says at the field itself that a name is taken; the restaurant, part of the key, is no field."""

    def clean(self) -> Any:
        super().clean()
        check_form(self)
        cleaned = self.cleaned_data
        for names in self.keys_given():
            same = {name: cleaned[name] for name in names}
            if any(isinstance(value, models.Model) and value._state.adding for value in same.values()):
                continue  # a new row has no others of its own yet
            if self._meta.model._default_manager.filter(**same).exclude(pk=self.instance.pk).exists():
                self.refuse_twin(names)
        return cleaned

    def refuse_twin(self, names: list[str]) -> None:
        field = next(name for name in reversed(names) if name in self.fields)
        label = self._meta.model._meta.verbose_name
        self.add_error(field, f"Another {label} here has this {str(self.fields[field].label).lower()}.")

    def keys_given(self) -> Iterator[list[str]]:
        """The columns that are unique in a restaurant, where the form says all of them."""
        cleaned = self.cleaned_data
        for constraint in self._meta.model._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint) and "restaurant" in constraint.fields:
                names = [name for name in constraint.fields if name != "restaurant"]
                if all(cleaned.get(name) not in (None, "") for name in names):
                    yield names


class OfficeFormSet(BaseInlineFormSet):
    """Refuses two new rows of one name: neither is in the database yet for the other to be found."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for form in self.forms:
            if not hasattr(form, "cleaned_data") or form.cleaned_data.get("DELETE"):
                continue
            for names in list(form.keys_given()):
                values = (form.cleaned_data[name] for name in names)
                key = (*names, *(getattr(value, "pk", value) for value in values))
                if key in seen:
                    form.refuse_twin(names)
                seen.add(key)


class ServiceForm(forms.ModelForm):
    """A form whose rows are written by a service.

    The service is called as the last step of validation, in a savepoint, so that what it refuses is an
    error of the form. The admin then has nothing left to save.
    """

    request: ClassVar[Any]  # bound by ServiceAdmin

    def clean(self) -> Any:
        super().clean()
        check_form(self)
        return self.cleaned_data

    def call_service(self) -> Any:
        """Write the row and return it. May raise DomainError."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.instance = self.call_service()
        except DomainError as refusal:
            self.add_error(refusal.field if refusal.field in self.fields else None, refusal.message)


class MoneyFormFields:
    """Gives the columns of money in a form a field to type them in."""

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if not db_field.name.endswith("_minor"):
            return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        currency = request.restaurant.currency
        label = db_field.name.removesuffix("_minor").replace("_", " ").capitalize()
        initial = db_field.default if db_field.has_default() else None
        return MoneyField(currency=currency, label=f"{label} ({currency})", required=True, initial=initial)


class ByStaff:
    """Who may what: whoever got into the office may do what the page offers."""

    can_add = can_change = can_delete = True

    def has_module_permission(self, request: Any) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return getattr(request, "staff", None) is not None

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return self.can_add and self.has_view_permission(request)

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return self.can_change and self.has_view_permission(request)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return self.can_delete and self.has_view_permission(request)


class CappedPaginator(Paginator):
    """For lists that only grow: counts no further than anybody leafs."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list[:COUNTED_ROWS].count())


class PlainList(admin.ModelAdmin):
    """A list that says what it is, and what to do while it is empty."""

    change_list_template = "backoffice/change_list.html"
    empty_text = "Nothing here yet."

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        title = str(self.opts.verbose_name_plural).capitalize()
        context = {"title": title, **(extra_context or {})}
        return super().changelist_view(request, context)


class OfficeAdmin(ByStaff, MoneyFormFields, PlainList):
    form = OfficeForm
    show_facets = admin.ShowFacets.NEVER


class OfficeInline(ByStaff, MoneyFormFields, admin.TabularInline):
    form = OfficeForm
    formset = OfficeFormSet
    extra = 1


class ReadOnlyAdmin(OfficeAdmin):
    """For what only services write: to look at, never to change."""

    can_add = can_change = can_delete = False
    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    actions = None


class ReadOnlyInline(OfficeInline):
    can_add = can_change = can_delete = False
    extra = 0
    show_change_link = False


class ServiceAdmin(OfficeAdmin):
    """Rows that a ServiceForm writes. They are never deleted: people leave, devices are revoked."""

    can_delete = False

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_model(self, request: Any, obj: Any, form: Any, change: bool) -> None:
        """The form's service has done so."""
