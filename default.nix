# For those without flakes: `nix-build -A innkeeper`, and the overlay and the test module.
{
  pkgs ? import <nixpkgs> { },
}:
{
  innkeeper = pkgs.callPackage ./nix/package.nix { };
  overlay = import ./nix/overlay.nix;
  testModule = ./nix/module.nix;
}
