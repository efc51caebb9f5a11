"""The NixOS test driver's package, for scripts that import from it. All of it is innkeeper's."""
