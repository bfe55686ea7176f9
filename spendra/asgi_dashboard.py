import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendra.settings.dashboard")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
