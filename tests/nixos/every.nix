# Every option, in the mode `hook` and with the other engines.
{
  services.keyslip = {
    enable = true;
    owner = "root";
    secrets.anthropic = "/run/secrets/anthropic-api-key";
    agents.claude = {
      secretName = "anthropic";
      authEnvVar = "ANTHROPIC_API_KEY";
      trustWorkspace = true;
    };
    templates.claude.agents.claude = {
      hostConfigDir = "~/.claude";
      hostConfigDirReadOnly = true;
    };
    rules = [
      {
        engine = [
          "podman"
          "docker"
        ];
        name = "review-*";
        uid = 1000;
        form = "annotation";
        agents = [ "*" ];
        accounts = [ "work" ];
        secrets = [ "*" ];
      }
      {
        engine = "cri";
        namespace = "team-a";
        agents = [ "claude" ];
        account = "team-a";
      }
    ];
    settings = {
      log_level = "debug";
      audit_log.keep = 7;
    };
    tmpfs.enable = false;
    refresh.enable = false;
    engines = {
      podman.enable = true;
      podman.mode = "hook";
      docker.enable = true;
      containerd.enable = true;
    };
  };
}
