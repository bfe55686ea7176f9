import zoneinfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from spendra.kernel.ids import uuid7


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(f"{value!r} is not a time zone name such as Europe/Berlin")


class Organization(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=60, default="UTC", validators=[validate_time_zone])
    week_starts_on = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(6)], help_text="0 is Monday, 6 is Sunday."
    )
    fiscal_year_starts_month = models.PositiveSmallIntegerField(
        default=1, db_default=1, validators=[MinValueValidator(1), MaxValueValidator(12)],
        help_text="In which budgets a year begin: 1 is January.",
    )  # fmt: skip
    default_output_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="Used where a request sets no output limit and its key has no default."
    )
    requires_cap = models.BooleanField(default=False, help_text="Refuse requests to which no hard cap applies.")
    suspended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug


class UnitKind(models.TextChoices):
    BRANCH = "branch"
    TEAM = "team"
    PROJECT = "project"
    EMPLOYEE = "employee"
    AGENT = "agent"
    SUBAGENT = "subagent"
    AUTOMATION = "automation"


ACTOR_KINDS = frozenset({UnitKind.EMPLOYEE, UnitKind.AGENT, UnitKind.SUBAGENT, UnitKind.AUTOMATION})


class Unit(models.Model):
    """A node of the hierarchy. Units are archived, never deleted: old entries still point at them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="units")
    kind = models.CharField(max_length=20, choices=UnitKind)
    name = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("kind", "name")
        constraints = (
            models.UniqueConstraint(fields=("organization", "kind", "name"), name="unit_name_once_a_kind"),
            models.CheckConstraint(condition=models.Q(kind__in=UnitKind.values), name="unit_kind_known"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class UnitEdge(models.Model):
    """child belongs to parent. A unit may have several parents; cycles are refused by `orgs.units`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="unit_edges")
    parent = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="child_edges")
    child = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="parent_edges")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("parent", "child"), name="unit_edge_once"),
            models.CheckConstraint(condition=~models.Q(parent=models.F("child")), name="unit_edge_no_self"),
        )

    def __str__(self) -> str:
        return f"{self.child} in {self.parent}"
