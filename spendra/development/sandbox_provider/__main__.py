import argparse

from spendra.development.sandbox_provider import serving

parser = argparse.ArgumentParser(prog="sandbox_provider", description="A stand-in for OpenAI on loopback.")
parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
parser.add_argument("--ends-with-parent", action="store_true", help="stop when stdin closes")
asked = parser.parse_args()
serving.run(asked.port, ends_with_parent=asked.ends_with_parent)
