# A stand-in for nixpkgs' lib, which no package manager of the tests brings: what config/nixos and system.nix use of it, in
# its simplest form. A module has options, definitions, conditions, priorities, imports and submodules; freeform
# modules, `apply`, names of files in messages and much else are not here.
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    listToAttrs
    mapAttrs
    removeAttrs
    stringLength
    substring
    ;

  kind = value: if isAttrs value then value._type or "" else "";
  override = priority: content: { _type = "override"; inherit priority content; };

  # The definitions of one attribute in a definition of several.
  inner =
    name: def:
    {
      "if" = map (lib.mkIf def.condition) (inner name def.content);
      merge = concatMap (inner name) def.contents;
      override = map (override def.priority) (inner name def.content);
    }
    .${kind def} or (if def ? ${name} then [ def.${name} ] else [ ]);

  # The attributes that a definition may have, whatever its conditions come to.
  names =
    def:
    {
      "if" = names def.content;
      merge = concatMap names def.contents;
      override = names def.content;
    }
    .${kind def} or (attrNames def);

  discharge =
    def:
    {
      "if" = if def.condition then discharge def.content else [ ];
      merge = concatMap discharge def.contents;
      override = map (value: value // { inherit (def) priority; }) (discharge def.content);
    }
    .${kind def} or [
      {
        priority = 100;
        value = def;
      }
    ];

  show = concatStringsSep ".";

  evalOption =
    place: option: defs:
    let
      default = if option ? default then [ (override 1500 option.default) ] else [ ];
      found = concatMap discharge (defs ++ default);
      best = foldl' (least: def: if def.priority < least then def.priority else least) 9999 found;
      values = map (def: def.value) (filter (def: def.priority == best) found);
    in
    if found == [ ] then
      throw "The option `${show place}' was accessed but has no value defined. Try setting the option."
    else if !all option.type.check values then
      throw "A definition for option `${show place}' is not of type `${option.type.name}'."
    else
      option.type.merge place values;

  evalTree =
    place: options: defs:
    let
      unknown = filter (name: !(options ? ${name})) (concatMap names defs);
    in
    if unknown != [ ] then
      throw "The option `${show (place ++ [ (head unknown) ])}' does not exist."
    else
      mapAttrs (
        name: option:
        let
          here = place ++ [ name ];
          defined = concatMap (inner name) defs;
        in
        if kind option == "option" then evalOption here option defined else evalTree here option defined
      ) options;

  mergeOptions =
    one: other:
    one
    // mapAttrs (
      name: value: if one ? ${name} && kind value != "option" then mergeOptions one.${name} value else value
    ) other;

  same =
    place: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${show place}' has conflicting definition values.";

  type = name: check: merge: { inherit name check merge; };

  # Attribute sets whose values are of one type, merged name by name.
  mergeAttrs =
    inner': place: values:
    let
      every = foldl' (union: value: union // value) { } values;
    in
    mapAttrs (
      name: _: evalOption (place ++ [ name ]) { type = inner'; } (concatMap (inner name) values)
    ) every;

  lib = {
    inherit (builtins)
      attrNames
      concatLists
      concatMap
      concatStringsSep
      filter
      mapAttrs
      ;

    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkDefault = override 1000;
    mkForce = override 50;

    types = rec {
      str = type "string" isString same;
      bool = type "boolean" builtins.isBool same;
      int = type "signed integer" builtins.isInt same;
      package = type "package" (value: isAttrs value && value ? outPath) same;
      enum = values: type "one of ${builtins.toJSON values}" (value: elem value values) same;
      nullOr =
        some:
        type "null or ${some.name}" (value: value == null || some.check value) (
          place: values: if all (value: value == null) values then null else some.merge place values
        );
      either =
        one: other:
        type "${one.name} or ${other.name}" (value: one.check value || other.check value) (
          place: values: if all one.check values then one.merge place values else other.merge place values
        );
      listOf =
        some:
        type "list of ${some.name}" (value: isList value && all some.check value) (
          place: values: map (value: some.merge place [ value ]) (concatLists values)
        );
      attrsOf = some: type "attribute set of ${some.name}" isAttrs (mergeAttrs some);
      anything = type "anything" (_: true) (
        place: values:
        if all (value: isAttrs value && !(value ? outPath)) values then mergeAttrs anything place values else same place values
      );
      submodule =
        module:
        type "submodule" isAttrs (
          place: values:
          (lib.evalModules {
            inherit place;
            modules = [ module ] ++ map (config: { inherit config; }) values;
          }).config
        );
    };

    evalModules =
      {
        modules,
        specialArgs ? { },
        place ? [ ],
      }:
      let
        load =
          module:
          let
            read = if isPath module || isString module then import module else module;
            value = if isFunction read then read (specialArgs // { inherit lib config; }) else read;
            whole = value ? options || value ? config;
          in
          concatMap load (value.imports or [ ])
          ++ [
            {
              key = if isPath module then toString module else null;
              options = value.options or { };
              config = if whole then value.config or { } else removeAttrs value [ "imports" ];
            }
          ];
        # A file that is imported twice is one module.
        once = found: module: if module.key != null && elem module.key (map (each: each.key) found) then found else found ++ [ module ];
        every = foldl' once [ ] (concatMap load modules);
        options = foldl' mergeOptions { } (map (module: module.options) every);
        config = evalTree place options (map (module: module.config) every);
      in
      {
        inherit config;
      };

    optional = yes: value: if yes then [ value ] else [ ];
    optionalAttrs = yes: attrs: if yes then attrs else { };
    concatStrings = concatStringsSep "";
    mapAttrsToList = f: attrs: map (name: f name attrs.${name}) (attrNames attrs);
    filterAttrs =
      keep: attrs:
      listToAttrs (
        map (name: {
          inherit name;
          value = attrs.${name};
        }) (filter (name: keep name attrs.${name}) (attrNames attrs))
      );
    recursiveUpdate =
      one: other:
      one
      // mapAttrs (
        name: value:
        if isAttrs value && isAttrs (one.${name} or null) then lib.recursiveUpdate one.${name} value else value
      ) other;
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      stringLength text >= stringLength suffix
      && substring (stringLength text - stringLength suffix) (stringLength suffix) text == suffix;
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    cleanSource = source: source;
    licenses.asl20 = "Apache-2.0";
  };
in
lib
