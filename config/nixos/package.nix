# Keyslip as a package: pkgs.callPackage ./config/nixos/package.nix { }.
#
# It has been evaluated and never built: there was no Nix that could. It has the programs, the units and the commented
# configuration of `make install`, and not the pages of the manual.
{
  lib,
  rustPlatform,
  stdenv,
}:
let
  target = stdenv.hostPlatform.rust.rustcTarget;
  # As in the Makefile, less an option of the linker that GNU's does not have.
  static = lib.concatStringsSep " " [
    "-C target-feature=+crt-static"
    "-C relocation-model=static"
    "-C llvm-args=-inline-threshold=25"
    "--cfg sha2_backend=\"soft\""
  ];
in
rustPlatform.buildRustPackage {
  pname = "keyslip";
  version = (lib.importTOML ../../Cargo.toml).package.version;
  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  # The static programs are linked with the C library's archives.
  buildInputs = [ stdenv.cc.libc.static ];

  buildPhase = ''
    runHook preBuild
    cargo build --release --frozen --bin keyslip
    RUSTFLAGS='${static}' cargo build --release --frozen --no-default-features --target ${target} \
      --bin keyslip-runtime --bin keyslip-hook --bin keyslip-launch
    runHook postBuild
  '';

  # The tests need root and engines.
  doCheck = false;

  installPhase = ''
    runHook preInstall
    install -Dm755 -t $out/bin target/release/keyslip
    install -Dm755 -t $out/libexec/keyslip target/${target}/release/keyslip-{runtime,hook,launch}
    ln -s ../../bin/keyslip $out/libexec/keyslip/keyslip
    install -Dm644 -t $out/lib/systemd/system config/systemd/keyslip-{tmpfs,refresh}.service config/systemd/keyslip-refresh.timer
    install -Dm644 -t $out/lib/systemd/user config/systemd/user/keyslip-refresh.service config/systemd/keyslip-refresh.timer
    substituteInPlace $out/lib/systemd/system/*.service --replace-fail /usr/bin/keyslip $out/bin/keyslip
    install -Dm644 -t $out/share/keyslip config/keyslip.toml config/keyslip.schema.json
    runHook postInstall
  '';

  meta = {
    description = "Puts an AI coding agent's credential into its sandbox at the OCI layer";
    license = lib.licenses.asl20;
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    mainProgram = "keyslip";
  };
}
