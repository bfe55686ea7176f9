"""The worker answers no Django URL; its health and metrics are in spendra/roles/endpoints.py."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
