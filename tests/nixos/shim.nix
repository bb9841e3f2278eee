# As somebody has it who comes from Forage: the blocks below `secrets` and `templates` are those of its documentation, less
# `package` and `network`, which are about its own containers.
{ config, ... }:
{
  sops.secrets.anthropic-api-key.path = "/run/secrets/anthropic-api-key";

  services.keyslip = {
    enable = true;
    engines.podman.enable = true;

    secrets = {
      anthropic = config.sops.secrets.anthropic-api-key.path;
      openai = "/run/secrets/openai-api-key";
    };

    templates.claude = {
      description = "Claude Code sandbox";
      agents.claude = {
        hostConfigDir = "~/.claude";
      };
    };
    templates.key = {
      agents.claude = {
        secretName = "anthropic";
        authEnvVar = "ANTHROPIC_API_KEY";
      };
    };

    settings.no_default_allow = true;
    rules = [
      {
        engine = "podman";
        agents = [ "claude" ];
        secrets = [ "anthropic" ];
      }
    ];
  };
}
