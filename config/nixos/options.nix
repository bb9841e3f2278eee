# What can be set under services.keyslip. Those who come from Forage know `secrets` and `templates`.
{
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;

  optional = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };

  oneOrMany = type: types.nullOr (types.either type (types.listOf type));

  agent = types.submodule {
    options = {
      secretName = optional types.str "The secret file that this agent uses, and no other source; a name of `secrets`.";
      authEnvVar = optional types.str "The variable that gets the content of the secret file, such as `ANTHROPIC_API_KEY`.";
      hostConfigDir = optional types.str ''
        The host's configuration directory of this agent, such as `"~/.claude"`, of which the entries that the agent's
        definition lists are shared with containers; never the credential file.
      '';
      hostConfigDirReadOnly = optional types.bool ''
        Whether nothing (`true`) or everything (`false`) of it can be written; without it, data alone.
      '';
      trustWorkspace = optional types.bool "Whether the agent trusts every directory of the container without asking.";
    };
  };

  rule = types.submodule {
    options = {
      engine = mkOption {
        type = oneOrMany types.str;
        default = null;
        description = "Engines whose containers this is about: podman, docker, containerd, cri, cdi, buildah, bare.";
      };
      namespace = mkOption {
        type = oneOrMany types.str;
        default = null;
        description = "Kubernetes' namespaces.";
      };
      name = mkOption {
        type = oneOrMany types.str;
        default = null;
        description = "Ids of containers; for `cri` names of pods. It may end in `*`.";
      };
      uid = mkOption {
        type = oneOrMany types.int;
        default = null;
        description = "Users of rootless engines.";
      };
      form = mkOption {
        type = oneOrMany types.str;
        default = null;
        description = "How the container asks: annotation, mount, cdi.";
      };
      agents = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Agents that it may have.";
      };
      accounts = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        description = "Accounts that it may have them with; without them the default account.";
      };
      account = optional types.str "The one account that it is given.";
      secrets = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Secret files that it may have.";
      };
    };
  };

  engine = name: {
    enable = mkEnableOption "Keyslip for ${name}";
    package = mkOption {
      type = types.package;
      default = pkgs.${name};
      description = "The ${name} of this system; its version decides whether annotations count.";
    };
  };
in
{
  options.services.keyslip = {
    enable = mkEnableOption "Keyslip, which puts the credentials of AI coding agents into their sandboxes";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      description = "Keyslip.";
    };

    runtimes = mkOption {
      type = types.attrsOf types.str;
      default = {
        crun = "${pkgs.crun}/bin/crun";
        runc = "${pkgs.runc}/bin/runc";
      };
      description = "The OCI runtimes that the shim stands in front of, by name.";
    };

    links = mkOption {
      type = types.package;
      internal = true;
      description = "What /usr/libexec/keyslip leads to: the programs, and the links by which engines call the shim.";
    };

    owner = optional types.str "The user whose logins root's engines use; without it root.";

    secrets = mkOption {
      type = types.attrsOf types.str;
      default = { };
      description = ''
        Secret files by name: paths of files that a secret manager writes, never in the Nix store.
        `config.sops.secrets.NAME.path` of sops-nix and `config.age.secrets.NAME.path` of agenix are such paths.
      '';
    };

    agents = mkOption {
      type = types.attrsOf agent;
      default = { };
      description = "How an agent gets its credential in containers that ask for no template.";
    };

    templates = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            description = optional types.str "What it is for; nothing reads it.";
            agents = mkOption {
              type = types.attrsOf agent;
              default = { };
              description = "Agents with their settings.";
            };
          };
        }
      );
      default = { };
      description = "Named sets of agents. A container asks for one by the annotation `dev.keyslip.template=NAME`.";
    };

    rules = mkOption {
      type = types.listOf rule;
      default = [ ];
      description = "Who may have what: the `[[allow]]` tables of keyslip.toml.";
    };

    settings = mkOption {
      type = (pkgs.formats.toml { }).type;
      default = { };
      description = "Everything else that keyslip.toml has, under its own names. It wins over what is generated.";
    };

    tmpfs.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a tmpfs that is never swapped is mounted at /run/keyslip at boot.";
    };

    refresh.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a timer renews logins and brings new ones into containers that run.";
    };

    engines = {
      podman = engine "podman" // {
        mode = mkOption {
          type = types.enum [
            "shim"
            "hook"
          ];
          default = "shim";
          description = "The shim in front of crun and runc, or hooks. What hooks do differently is in the README.";
        };
        trustAnnotations = mkOption {
          type = types.bool;
          default = false;
          description = "For podman before 4.5.1, which copies annotations from images: whether they count all the same.";
        };
        otherHooksDirs = mkOption {
          type = types.listOf types.str;
          default = [ "/usr/share/containers/oci/hooks.d" ];
          description = "In the mode `hook`: the other directories of hooks. podman's setting replaces its list.";
        };
      };
      docker = engine "docker";
      containerd = engine "containerd" // {
        plugin = mkOption {
          type = types.str;
          default = "io.containerd.grpc.v1.cri";
          description = "The CRI plugin; in a configuration of version 3, which is containerd 2's, io.containerd.cri.v1.runtime.";
        };
      };
    };
  };
}
