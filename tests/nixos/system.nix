# A system whose configuration imports our module: what NixOS declares of the options that the module sets, and packages
# that say where they would be. `lib` is nixpkgs', or its stand-in here.
{
  lib,
  keyslip,
  configuration,
}:
let
  package = name: version: {
    type = "derivation";
    inherit name version;
    outPath = "/nix/store/of-the-test-${name}";
  };
  pkgs = {
    crun = package "crun" "1.21";
    runc = package "runc" "1.1.15";
    podman = package "podman" "5.4.2";
    docker = package "docker" "26.1.5";
    containerd = package "containerd" "1.7.24";
    # Both are builders, which need a store: what would be built is kept as text.
    formats.toml = _: {
      type = lib.types.anything;
      generate = name: value: package name "" // { text = toTOML value; };
    };
    runCommand = name: _: script: package name "" // { inherit script; };
    callPackage = file: arguments: (import file) (
      {
        inherit lib;
        stdenv.hostPlatform.rust.rustcTarget = "x86_64-unknown-linux-gnu";
        stdenv.cc.libc.static = package "glibc-static" "2.41";
        rustPlatform.buildRustPackage = attrs: attrs // package attrs.pname attrs.version;
      }
      // arguments
    );
  };

  # One line for each key of the top; tables below it are inline. A text of JSON is one of TOML.
  toTOML = value: lib.concatStrings (lib.mapAttrsToList (name: inner: "${builtins.toJSON name} = ${inline inner}\n") value);
  inline =
    value:
    if builtins.isAttrs value then
      "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList (name: inner: "${builtins.toJSON name} = ${inline inner}") value)} }"
    else if builtins.isList value then
      "[${lib.concatStringsSep ", " (map inline value)}]"
    else
      builtins.toJSON value;

  any = lib.mkOption {
    type = lib.types.anything;
    default = { };
  };
  list = lib.mkOption {
    type = lib.types.listOf lib.types.anything;
    default = [ ];
  };
  nixos = {
    options = {
      assertions = list;
      environment.systemPackages = list;
      environment.etc = lib.mkOption {
        type = lib.types.attrsOf (
          lib.types.submodule {
            options.source = lib.mkOption {
              type = lib.types.nullOr lib.types.anything;
              default = null;
            };
            options.text = lib.mkOption {
              type = lib.types.nullOr lib.types.str;
              default = null;
            };
          }
        );
        default = { };
      };
      systemd.tmpfiles.rules = list;
      systemd.packages = list;
      systemd.services = any;
      systemd.timers = any;
      virtualisation.docker.daemon.settings = any;
      virtualisation.containerd.settings = any;
      # As sops-nix has it.
      sops.secrets = any;
    };
  };
  system = lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      nixos
      keyslip
      configuration
    ];
  };
  inherit (system) config;
  cfg = config.services.keyslip;
  textOf = file: if file.text != null then file.text else file.source.text;
in
{
  # NixOS builds nothing while one of them does not hold.
  failed = map (assertion: assertion.message) (lib.filter (assertion: !assertion.assertion) config.assertions);
  etc = lib.mapAttrs (_: textOf) config.environment.etc;
  links = lib.optionalAttrs cfg.enable {
    inherit (cfg.links) script;
    path = toString cfg.links;
  };
  tmpfiles = config.systemd.tmpfiles.rules;
  units = {
    inherit (config.systemd) services timers;
    packages = map toString config.systemd.packages;
  };
  docker = config.virtualisation.docker.daemon.settings;
  containerd = config.virtualisation.containerd.settings;
  package = {
    inherit (cfg.package) pname version buildPhase installPhase;
    path = toString cfg.package;
  };
}
