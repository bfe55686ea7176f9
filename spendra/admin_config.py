from django.contrib.admin.apps import AdminConfig


class SpendraAdminConfig(AdminConfig):
    """Django's admin, with a site of ours."""

    default_site = "spendra.admin_site.SpendraAdminSite"
