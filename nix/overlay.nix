# An overlay by which every NixOS test runs on innkeeper, from NixOS 26.05 on. Tests of NixOS 25.11 and earlier ask no
# package set for their driver: they take the module.
final: _prev: {
  innkeeper = final.callPackage ./package.nix { };
  nixos-test-driver = final.innkeeper;
}
