# What there is to see of these files without nixpkgs: they are evaluated with stand-ins for the few functions and
# packages of it that they use. A test looks at the result; see docs/nix.md for what this shows and what it does not.
let
  lib = rec {
    inherit (builtins) attrValues concatMap;
    concatMapStringsSep = separator: f: list: builtins.concatStringsSep separator (map f list);
    optional = condition: value: if condition then [ value ] else [ ];
    optionalString = condition: text: if condition then text else "";
    unique = builtins.foldl' (list: value: if builtins.elem value list then list else list ++ [ value ]) [ ];
    genAttrs =
      names: f:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    escapeShellArgs = concatMapStringsSep " " (
      word: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] word}'"
    );
    makeBinPath = concatMapStringsSep ":" (package: "${package}/bin");
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    cleanSource = path: path;
    licenses = {
      mit = "MIT";
      asl20 = "Apache-2.0";
    };
    platforms.linux = [ "x86_64-linux" ];
    mkIf = condition: content: { inherit condition content; };
    mkForce = content: { forced = content; };
    mkOption = option: option;
    mkEnableOption = description: {
      inherit description;
      default = false;
    };
    literalExpression = text: text;
    types = {
      package = "package";
      str = "str";
      listOf = inner: "list of ${inner}";
    };
  };
  # As nixpkgs does it: arguments by their names, and `override`.
  callPackage =
    file: arguments:
    let
      function = if builtins.isFunction file then file else import file;
      wanted = builtins.intersectAttrs (builtins.functionArgs function) pkgs;
      make =
        more:
        function (wanted // more)
        // {
          override = others: make (more // others);
        };
    in
    make arguments;
  package = name: { outPath = "/nix/store/stand-in-${name}"; };
  pkgs =
    lib.genAttrs [ "makeWrapper" "perl" "coreutils" "util-linux" "socat" "netpbm" "tesseract" "systemd" "qemu_test" ]
      package
    // {
      inherit lib callPackage;
      stdenv.hostPlatform.isGnu = true;
      glibc.static = package "glibc-static";
      python3 = package "python3" // {
        sitePackages = "lib/python3/site-packages";
        withPackages =
          choose: package "python3-with-${builtins.concatStringsSep "-" (choose { numpy = "numpy"; })}";
      };
      rustPlatform.buildRustPackage = attributes: package "innkeeper" // attributes;
      runCommand =
        name: attributes: script:
        package name // { inherit attributes script; };
      testers.runNixOSTest = test: package "test-${test.name}" // test;
    };
  overlaid = pkgs // (import ./overlay.nix) overlaid pkgs;

  node = {
    system.build.vm = package "nixos-vm";
    virtualisation = {
      vlans = [ 1 ];
      interfaces.eth2.vlan = 3;
    };
  };
  test = {
    name = "web";
    nodes = {
      client = node;
      server = node;
    };
    enableOCR = true;
    extraPythonPackages = python: [ python.numpy ];
    qemu.package = package "qemu";
    extraDriverArgs = [ "--interactive" ];
    testScriptString = "start_all()";
    globalTimeout = 3600;
    innkeeper = {
      enable = true;
      package = overlaid.innkeeper;
      arguments = [ "--with-log-html" ];
    };
  };
  driverOf =
    config:
    let
      module = import ./module.nix {
        inherit lib config;
        hostPkgs = pkgs;
      };
    in
    assert module.config.condition;
    module.config.content.driver.forced;
  inputs = {
    self = outputs;
    nixpkgs = {
      inherit lib;
      legacyPackages = {
        x86_64-linux = pkgs;
        aarch64-linux = pkgs;
      };
    };
  };
  outputs = (import ../flake.nix).outputs inputs;
  legacy = import ../default.nix { inherit pkgs; };
in
{
  package = {
    inherit (overlaid.innkeeper)
      pname
      version
      buildInputs
      postInstall
      cargoBuildFlags
      ;
    source = toString overlaid.innkeeper.src;
    lock = toString overlaid.innkeeper.cargoLock.lockFile;
  };
  replaces = overlaid.nixos-test-driver.pname;
  overridden =
    (overlaid.nixos-test-driver.override {
      enableNspawn = true;
      extraPythonPackages = python: [ python.numpy ];
    }).postInstall;
  present =
    (driverOf (
      test
      // {
        containers = { };
        driverConfigurationFile = "/nix/store/stand-in-config.json";
        logLevel = "info";
      }
    )).script;
  old = (driverOf test).script;
  flake = {
    systems = builtins.attrNames outputs.packages;
    default = outputs.packages.x86_64-linux.default.pname;
    overlay = builtins.isFunction outputs.overlays.default;
    module = builtins.pathExists outputs.testModules.default;
    test = outputs.checks.x86_64-linux.innkeeper-runs-a-nixos-test.innkeeper.enable;
  };
  legacy = {
    inherit (legacy.innkeeper) pname;
    module = builtins.pathExists legacy.testModule;
  };
}
