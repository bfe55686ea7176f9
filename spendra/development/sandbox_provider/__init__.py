"""A stand-in for OpenAI on the loopback interface, for the demo and for tests: README.md says what it can do."""
