# A configuration as somebody has it who comes from Forage: what stands below `secrets` and `templates` is as in its
# documentation, less `package` and `network`, which are about its own containers. The tests run it.
{ config, ... }:
{
  imports = [ ./module.nix ];

  # With sops-nix, which says itself where the file is.
  sops.secrets.anthropic-api-key.path = "/run/secrets/anthropic-api-key";

  services.keyslip = {
    enable = true;
    engines.podman.enable = true;

    secrets = {
      anthropic = config.sops.secrets.anthropic-api-key.path;
      openai = "/run/secrets/openai-api-key";
    };

    # podman run --annotation dev.keyslip.template=claude: the login of `keyslip auth login claude`.
    templates.claude = {
      description = "Claude Code sandbox";
      agents.claude = {
        hostConfigDir = "~/.claude";
      };
    };
    # --annotation dev.keyslip.template=key: an API key.
    templates.key = {
      agents.claude = {
        secretName = "anthropic";
        authEnvVar = "ANTHROPIC_API_KEY";
      };
    };

    # What keyslip.toml has besides, by its own names.
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
