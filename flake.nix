{
  description = "Virtual-machine integration tests; takes the place of nixos-test-driver";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (
        pkgs:
        let
          innkeeper = pkgs.callPackage ./nix/package.nix { };
        in
        {
          inherit innkeeper;
          default = innkeeper;
        }
      );
      overlays.default = import ./nix/overlay.nix;
      # For `imports` of a NixOS test.
      testModules.default = ./nix/module.nix;
      # One test of NixOS's kind on it; needs a builder with KVM.
      checks = each (pkgs: {
        innkeeper-runs-a-nixos-test = pkgs.testers.runNixOSTest {
          name = "innkeeper";
          imports = [ self.testModules.default ];
          innkeeper.enable = true;
          nodes.machine = { };
          testScript = ''
            machine.wait_for_unit("multi-user.target")
            machine.succeed("uname -a")
          '';
        };
      });
    };
}
