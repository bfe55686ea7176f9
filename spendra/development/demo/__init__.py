"""`manage.py demo`: the whole of Spendra on this machine, proved by two governed requests."""
