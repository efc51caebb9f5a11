# A module of the NixOS test framework, for a single test:
#
#   imports = [ innkeeper.testModules.default ];
#   innkeeper.enable = true;
#
# It replaces the test's `driver`, the wrapper that knows the machines and the script. (The option for the program in it
# can be read, but not set.)
{
  config,
  lib,
  hostPkgs,
  ...
}:
let
  cfg = config.innkeeper;
  program = cfg.package.override {
    inherit (config) enableOCR extraPythonPackages;
    qemu_pkg = config.qemu.package;
    enableNspawn = (config.containers or { }) != { };
  };
  # NixOS 26.05 writes a file for its driver; before, everything went by the environment.
  hasFile = config ? driverConfigurationFile;
  vms = map (node: node.system.build.vm) (lib.attrValues config.nodes);
  vlans = lib.unique (
    lib.concatMap (
      node:
      node.virtualisation.vlans
      ++ map (interface: interface.vlan) (lib.attrValues (node.virtualisation.interfaces or { }))
    ) (lib.attrValues config.nodes)
  );
  words =
    (
      if hasFile then
        [
          "--add-flags"
          "--config ${config.driverConfigurationFile}"
          "--add-flags"
          "--log-level ${config.logLevel}"
        ]
      else
        [
          "--set"
          "vlans"
          (toString vlans)
          "--set"
          "globalTimeout"
          (toString config.globalTimeout)
        ]
    )
    ++ lib.concatMap (argument: [
      "--add-flags"
      argument
    ]) (config.extraDriverArgs ++ cfg.arguments);
in
{
  options.innkeeper = {
    enable = lib.mkEnableOption "innkeeper in the place of the NixOS test driver";
    package = lib.mkOption {
      type = lib.types.package;
      default = hostPkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The innkeeper to run the test on.";
    };
    arguments = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "--with-log-html" ];
      description = "Further arguments, which the NixOS test driver does not know.";
    };
  };

  config = lib.mkIf cfg.enable {
    driver = lib.mkForce (
      hostPkgs.runCommand "innkeeper-test-driver-${config.name}"
        {
          nativeBuildInputs = [ hostPkgs.makeWrapper ];
          testScript = config.testScriptString;
          passAsFile = [ "testScript" ];
          preferLocalBuild = true;
          passthru = config.passthru or { };
          meta = (config.meta or { }) // {
            mainProgram = "nixos-test-driver";
          };
        }
        ''
          mkdir -p $out/bin
          cp "$testScriptPath" $out/test-script
          makeWrapper ${program}/bin/nixos-test-driver $out/bin/nixos-test-driver ${lib.escapeShellArgs words} ${
            lib.optionalString (!hasFile) ''--set testScript $out/test-script --set startScripts "$(echo ${
              lib.concatMapStringsSep " " (vm: "${vm}/bin/run-*-vm") vms
            })"''
          }
        ''
    );
  };
}
