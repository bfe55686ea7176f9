"""The acts of this room's admin pages: one form a use case."""

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget

from apps.catalog.setting_prices import read_prices, set_price
from apps.catalog.types import USAGE_CLASSES
from apps.orgs.models import Organization
from spendra.kernel.governed_admin import ActForm, Done, InstantInput, Lines, Reason


class SetPrice(ActForm):
    title = "Set an organization's own price"
    note = (
        "Holds in place of the catalog's; of two that have begun, the one set last. What is reserved already keeps its "
        "price."
    )
    organization = forms.ModelChoiceField(Organization.objects.all())
    model = forms.CharField(
        max_length=250, widget=AdminTextInputWidget, help_text="provider/model or an alias; a bare one is OpenAI's."
    )
    prices = Lines(
        help_text=(
            "USD a million units, one a line, such as input=0.40. Input and output are needed; what else is left out "
            f"is billed dearly rather than too low. The usage classes: {', '.join(USAGE_CLASSES)}."
        )
    )
    effective_from = forms.SplitDateTimeField(
        required=False, widget=InstantInput, help_text="In UTC. Empty: from the next request on."
    )
    reason = Reason(required=True)

    def carry_out(self, *, acting: str) -> Done:
        data = self.cleaned_data
        version = set_price(
            organization=data["organization"],
            model=data["model"],
            nanos_per_million=read_prices(data["prices"]),
            effective_from=data["effective_from"],
            acting=acting,
            reason=data["reason"],
        )
        return Done(f"{data['organization']} has a price of its own for {version.model}.", version)
