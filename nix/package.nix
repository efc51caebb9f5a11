# innkeeper, and with it `nixos-test-driver`: what pkgs.callPackage makes of this takes that package's place, and takes
# the arguments that NixOS overrides it with.
{
  lib,
  stdenv,
  rustPlatform,
  glibc,
  makeWrapper,
  python3,
  perl,
  coreutils,
  util-linux,
  socat,
  netpbm,
  tesseract,
  systemd,
  qemu_test,
  # What NixOS's test framework overrides, by its names.
  qemu_pkg ? qemu_test,
  enableOCR ? false,
  enableNspawn ? false,
  extraPythonPackages ? (_: [ ]),
}:
let
  python = python3.withPackages extraPythonPackages;
  # What the driver starts. Machines bring their own QEMU with their start scripts; manifests want this one.
  programs = [
    python
    perl
    coreutils
    util-linux
    socat
    netpbm
    qemu_pkg
  ]
  ++ lib.optional enableOCR tesseract
  ++ lib.optional enableNspawn systemd;
in
rustPlatform.buildRustPackage {
  pname = "innkeeper";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;

  src = lib.cleanSource ../.;
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--package"
    "cli"
  ];
  nativeBuildInputs = [ makeWrapper ];
  # The agent for guests is a static program.
  buildInputs = lib.optional stdenv.hostPlatform.isGnu glibc.static;
  # They boot machines, and build images from Debian's packages.
  doCheck = false;

  postInstall = ''
    wrapProgram $out/bin/innkeeper --prefix PATH : ${lib.makeBinPath programs}
    # A wrapper forgets the name that it was called by, which is what decides here.
    makeWrapper $out/bin/innkeeper $out/bin/nixos-test-driver --add-flags nixos-test-driver
    makeWrapper $out/bin/.innkeeper-wrapped $out/bin/generate-driver-symbols --argv0 generate-driver-symbols
    # What test scripts import, for type checkers.
    mkdir -p $out/${python3.sitePackages}
    cp -r script/python/innkeeper script/python/test_driver $out/${python3.sitePackages}/
  '';

  passthru = {
    inherit python;
    # As the NixOS driver, which is a Python package.
    pythonModule = python3;
  };

  meta = {
    description = "Virtual-machine integration tests; takes the place of nixos-test-driver";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "innkeeper";
    platforms = lib.platforms.linux;
  };
}
