# Keyslip as a module of NixOS: imports = [ ./config/nixos/module.nix ]. docs/nixos.md explains it; options.nix says
# what there is.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.keyslip;
  podman = cfg.engines.podman;
  docker = cfg.engines.docker;
  containerd = cfg.engines.containerd;
  toml = pkgs.formats.toml { };

  # Where everything is found, by engines too: the same path after each upgrade. A container that runs goes on naming it.
  libexec = "/usr/libexec/keyslip";

  # The programs, and the links by which engines call the shim, as config/link-engines makes them.
  links = pkgs.runCommand "keyslip-links" { } ''
    mkdir -p $out
    for program in keyslip keyslip-runtime keyslip-hook keyslip-launch; do
      ln -s ${cfg.package}/libexec/keyslip/$program $out/$program
    done
    for engine in bare podman docker containerd cri buildah; do
      mkdir $out/$engine
      ${lib.concatStrings (
        lib.mapAttrsToList (name: program: ''
          ln -s ../keyslip-runtime $out/$engine/${name}
          ln -s ${program} $out/$engine/${name}.real
        '') cfg.runtimes
      )}
    done
  '';

  withoutNull = lib.filterAttrs (_: value: value != null);

  # An agent's options under the names that keyslip.toml has.
  agent =
    options:
    withoutNull {
      secret_name = options.secretName;
      auth_env_var = options.authEnvVar;
      host_config_dir = options.hostConfigDir;
      host_config_dir_read_only = options.hostConfigDirReadOnly;
      trust_workspace = options.trustWorkspace;
    };

  # What Keyslip has to know of an engine for annotations to count.
  engines =
    lib.optionalAttrs podman.enable {
      podman =
        if podman.trustAnnotations then { trust_annotations = true; } else { version = podman.package.version; };
    }
    // lib.optionalAttrs docker.enable { docker.version = docker.package.version; }
    // lib.optionalAttrs containerd.enable {
      containerd.version = containerd.package.version;
      cri.version = containerd.package.version;
    };

  filled = lib.filterAttrs (_: value: value != { } && value != [ ] && value != null);

  generated = filled {
    inherit (cfg) owner secrets;
    inherit engines;
    agents = lib.mapAttrs (_: agent) cfg.agents;
    templates = lib.mapAttrs (_: template: { agents = lib.mapAttrs (_: agent) template.agents; }) cfg.templates;
    # An empty list selects nothing; without the key the rule would be for everybody.
    allow = map withoutNull cfg.rules;
  };

  # Every agent's options with the place where they are written.
  everyAgent =
    let
      at = place: lib.mapAttrsToList (name: options: { inherit options; place = "${place}.agents.${name}"; });
    in
    at "services.keyslip" cfg.agents
    ++ lib.concatLists (
      lib.mapAttrsToList (name: template: at "services.keyslip.templates.${name}" template.agents) cfg.templates
    );

  known = if cfg.secrets == { } then "it is empty" else "it has ${lib.concatStringsSep ", " (lib.attrNames cfg.secrets)}";
  inStore = path: lib.hasPrefix "/nix/store/" path || lib.hasPrefix "${builtins.storeDir}/" path;

  hook = stage: {
    version = "1.0.0";
    hook = {
      path = "${libexec}/keyslip-hook";
      args = [
        "keyslip-hook"
        stage
        "--engine"
        "podman"
        "--launcher"
        "${libexec}/keyslip-launch"
      ];
      env = [ "PATH=/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin" ];
      timeout = if stage == "poststop" then 10 else 30;
    };
    when.annotations."^dev\\.keyslip\\.(agents|secrets|template)$" = ".+";
    stages = [ stage ];
  };

  cri = {
    runtime_type = "io.containerd.runc.v2";
    pod_annotations = [ "dev.keyslip.*" ];
    container_annotations = [ "dev.keyslip.*" ];
    options.BinaryName = "${libexec}/cri/runc";
  };
in
{
  imports = [ ./options.nix ];

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        assertions =
          map (agent: {
            assertion = agent.options.secretName == null || cfg.secrets ? ${agent.options.secretName};
            message = "${agent.place}.secretName is \"${toString agent.options.secretName}\", which services.keyslip.secrets does not have; ${known}.";
          }) everyAgent
          ++ map (agent: {
            assertion = agent.options.authEnvVar == null || agent.options.secretName != null;
            message = "${agent.place}.authEnvVar needs a secretName: it is the variable that gets that secret.";
          }) everyAgent
          ++ lib.mapAttrsToList (name: path: {
            assertion = !inStore path;
            message = "services.keyslip.secrets.${name} is in the Nix store, which every user can read; give the path of a file that a secret manager writes elsewhere, as config.sops.secrets.NAME.path.";
          }) cfg.secrets
          ++ lib.mapAttrsToList (name: path: {
            assertion = lib.hasPrefix "/" path;
            message = "services.keyslip.secrets.${name} is \"${path}\"; it has to be an absolute path.";
          }) cfg.secrets
          ++ lib.concatMap (
            rule:
            map (name: {
              assertion = lib.hasSuffix "*" name || cfg.secrets ? ${name};
              message = "a rule of services.keyslip.rules allows the secret \"${name}\", which services.keyslip.secrets does not have; ${known}.";
            }) rule.secrets
          ) cfg.rules;

        services.keyslip.links = links;
        environment.systemPackages = [ cfg.package ];
        environment.etc."keyslip/keyslip.toml".source = toml.generate "keyslip.toml" (
          lib.recursiveUpdate generated cfg.settings
        );

        systemd.tmpfiles.rules = [ "L+ ${libexec} - - - - ${cfg.links}" ];
        # The units that Keyslip brings, with their confinement.
        systemd.packages = [ cfg.package ];
        systemd.services.keyslip-tmpfs.wantedBy = lib.optional cfg.tmpfs.enable "multi-user.target";
        systemd.timers.keyslip-refresh.wantedBy = lib.optional cfg.refresh.enable "timers.target";
      }

      (lib.mkIf (podman.enable && podman.mode == "shim") {
        # podman takes the first path that exists: without Keyslip containers start as they did before.
        environment.etc."containers/containers.conf.d/50-keyslip.conf".source = toml.generate "50-keyslip.conf" {
          engine.runtimes = lib.mapAttrs (name: program: [
            "${libexec}/podman/${name}"
            program
          ]) (lib.filterAttrs (name: _: name == "crun" || name == "runc") cfg.runtimes);
        };
      })

      (lib.mkIf (podman.enable && podman.mode == "hook") {
        environment.etc = {
          # The setting replaces the list.
          "containers/containers.conf.d/50-keyslip.conf".source = toml.generate "50-keyslip.conf" {
            engine.hooks_dir = podman.otherHooksDirs ++ [ "/etc/keyslip/hooks.d" ];
          };
          "keyslip/hooks.d/keyslip-precreate.json".text = builtins.toJSON (hook "precreate");
          "keyslip/hooks.d/keyslip-createruntime.json".text = builtins.toJSON (hook "createRuntime");
          "keyslip/hooks.d/keyslip-poststop.json".text = builtins.toJSON (hook "poststop");
        };
      })

      (lib.mkIf docker.enable {
        virtualisation.docker.daemon.settings.runtimes.keyslip.path = "${libexec}/docker/runc";
      })

      (lib.mkIf containerd.enable {
        # The built-in runtime is lost as soon as a file names another one.
        virtualisation.containerd.settings.plugins.${containerd.plugin}.containerd.runtimes = {
          runc.runtime_type = lib.mkDefault "io.containerd.runc.v2";
          keyslip = cri;
        };
      })
    ]
  );
}
