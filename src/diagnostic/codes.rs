//! Every code a finding can have: its rule, with a bad and a good example. A code never changes its meaning and is
//! never used again for another.
//!
//! 01xx: what stands in a document. 02xx: YAML. 03xx: files. 04xx: several documents together. 05xx: sets of clusters.
//! 06xx: conversion.

use super::Severity;

/// One example of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// Files: path and text. Run by a test: the bad ones give the code, the good ones give no finding at all.
    Files(&'static [(&'static str, &'static str)]),
    /// What text cannot show, in words.
    Told(&'static str),
}

macro_rules! codes {
    ($($variant:ident $number:literal $severity:ident $title:literal
       rule $rule:literal bad $bad:expr, good $good:expr;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $variant),+
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the code as it is shown: `FLT0103`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $number),+ }
            }

            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            pub fn rule(self) -> &'static str {
                match self { $(Self::$variant => $rule),+ }
            }

            /// Returns an example that breaks the rule and nothing else.
            pub fn bad(self) -> Example {
                match self { $(Self::$variant => $bad),+ }
            }

            pub fn good(self) -> Example {
                match self { $(Self::$variant => $good),+ }
            }
        }
    };
}

impl Code {
    /// Finds a code as a person writes it: `FLT0103`, `flt0103`.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

macro_rules! cluster {
    ($metadata:expr, $rest:expr) => {
        concat!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: ",
            $metadata,
            "\n",
            $rest
        )
    };
    ($rest:expr) => {
        cluster!("{name: edge-berlin, namespace: tenant-7}", $rest)
    };
}
macro_rules! fleet {
    ($spec:expr) => {
        concat!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  id: acme-7f3a\n",
            $spec
        )
    };
}
macro_rules! defaults {
    ($rest:expr) => {
        concat!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterDefaults\n",
            $rest
        )
    };
}
macro_rules! foreign {
    ($rest:expr) => {
        concat!(
            "apiVersion: k0smotron.io/v1beta2\nkind: Cluster\nmetadata: {name: edge-berlin, namespace: tenant-7}\n",
            $rest
        )
    };
}
macro_rules! removed {
    ($target:expr) => {
        concat!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Removed\nmetadata: {name: gone}\nspec:\n  policy: Delete\n  target: ",
            $target,
            "\n"
        )
    };
}
macro_rules! adopt {
    () => {
        "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Adopt\nmetadata: {name: berlin}\n\
         spec: {target: {namespace: tenant-7, name: edge-berlin}, from: {manager: helm}}\n"
    };
}
macro_rules! set {
    ($generators:expr) => {
        set!($generators, "")
    };
    ($generators:expr, $rest:expr) => {
        set!($generators, $rest, "{replicas: 1}")
    };
    ($generators:expr, $rest:expr, $spec:expr) => {
        concat!(
            "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {name: stores}\nspec:\n  key: site\n  generators: ",
            $generators,
            "\n",
            $rest,
            "  template:\n    metadata: {name: \"store-${site}\", namespace: edge}\n    spec: ",
            $spec,
            "\n"
        )
    };
}
macro_rules! file {
    ($text:expr) => {
        Example::Files(&[("clusters/edge-berlin.yaml", $text)])
    };
    ($one:expr, $other:expr) => {
        Example::Files(&[
            ("clusters/edge-berlin.yaml", $one),
            ("clusters/edge-paris.yaml", $other),
        ])
    };
}

codes! {
    NoKind "FLT0101" Error "document without kind"
        rule "Every document is a mapping with `apiVersion` and `kind`: a document that cannot be told apart could be \
              a cluster, and a cluster that is overlooked looks deleted."
        bad file!("metadata: {name: edge-berlin, namespace: tenant-7}\nspec: {replicas: 1}\n"),
        good file!(cluster!("spec: {replicas: 1}\n"));
    UnknownKind "FLT0102" Error "unknown kind of this product"
        rule "Kinds of the groups k0smotron.io and fleet.k0smotron.io are known by exact `apiVersion` and `kind`."
        bad file!("apiVersion: k0smotron.io/v1\nkind: K0smotronCluster\nmetadata: {name: a, namespace: b}\n"),
        good file!("apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata: {name: a, namespace: b}\n");
    UnknownField "FLT0103" Error "unknown field"
        rule "Fields that the schema does not know are refused: a mistyped field would otherwise do nothing."
        bad file!(cluster!("spec:\n  repicas: 3\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    WrongType "FLT0104" Error "wrong type"
        rule "A field takes values of one type. Text that looks like a number or a word such as `true` needs quotes."
        bad file!(cluster!("spec:\n  replicas: three\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    NotAllowed "FLT0105" Error "value not among those allowed"
        rule "Some fields take one of a few words, written exactly so."
        bad file!(cluster!("spec:\n  deletionPolicy: retain\n")),
        good file!(cluster!("spec:\n  deletionPolicy: Retain\n"));
    OutOfRange "FLT0106" Error "value too small, too large, too short or too long"
        rule "Numbers, texts and lists have limits that the API server would enforce as well."
        bad file!(fleet!("  maxDeletions: {percent: 120}\n")),
        good file!(fleet!("  maxDeletions: {percent: 20}\n"));
    Missing "FLT0107" Error "required field missing"
        rule "Fields without a sensible default must be written."
        bad file!(cluster!("spec:\n  ingress: {apiHost: api.example.com}\n")),
        good file!(cluster!("spec:\n  ingress: {apiHost: api.example.com, konnectivityHost: kn.example.com}\n"));
    RuleBroken "FLT0108" Error "rule of the cluster kind broken"
        rule "The rules of the CRD are evaluated here as the API server would, with its words."
        bad file!(cluster!("spec:\n  service: {type: LoadBalancer, apiPort: 7443, konnectivityPort: 7443}\n")),
        good file!(cluster!("spec:\n  service: {type: LoadBalancer, apiPort: 7443, konnectivityPort: 7444}\n"));
    NotSupportedYet "FLT0109" Error "kind that is not read"
        rule "A kind that holds objects of a fleet, and that this version cannot act on, is an error: passing over it would do \
              something else than the files say."
        bad file!("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: k0smotron.io/v1beta1, kind: K0smotronCluster, \
                   metadata: {name: a, namespace: b}}\n"),
        good file!(cluster!("spec: null\n"));
    OtherKind "FLT0110" Warning "kind left alone"
        rule "Objects of other kinds are not applied; it is said once for each kind."
        bad file!("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"),
        good file!(cluster!("spec: null\n"));
    NotForFiles "FLT0111" Error "field that files do not set"
        rule "Files say what is wanted. What the server or the operator writes (status, uid, owner references) does \
              not belong into them."
        bad file!(cluster!("status: {ready: 1/1}\n")),
        good file!(cluster!("spec: null\n"));
    WrongName "FLT0112" Error "name not allowed"
        rule "Names are lower-case letters, digits and `-`, begin with a letter or digit and end with one; cluster \
              names have at most 40 characters, because names of generated objects are made from them."
        bad file!(cluster!("{name: Edge_Berlin, namespace: tenant-7}", "")),
        good file!(cluster!("{name: edge-berlin, namespace: tenant-7}", ""));
    NoNamespace "FLT0113" Error "namespace missing"
        rule "Every cluster says its namespace. There is no default: the same file must mean the same cluster for \
              everybody, whatever the current context is."
        bad file!(cluster!("{name: edge-berlin}", "")),
        good file!(cluster!("{name: edge-berlin, namespace: tenant-7}", ""));
    ReservedKey "FLT0114" Error "label or annotation that this tool writes itself"
        rule "Keys of fleet.k0smotron.io say which fleet an object belongs to. Files may set `protect` and `hold`."
        bad file!(cluster!("{name: a, namespace: b, labels: {fleet.k0smotron.io/id: other}}", "")),
        good file!(cluster!("{name: a, namespace: b, annotations: {fleet.k0smotron.io/protect: \"true\"}}", ""));
    WrongLabel "FLT0115" Error "label or annotation of the wrong form"
        rule "Label values have at most 63 letters, digits, `-`, `_`, `.`; keys may have a domain and `/` in front."
        bad file!(cluster!("{name: a, namespace: b, labels: {team: \"web & shop\"}}", "")),
        good file!(cluster!("{name: a, namespace: b, labels: {team: web-shop}}", ""));
    NotAmount "FLT0116" Error "amount that cannot be read"
        rule "Amounts of processors, memory and storage are numbers with a unit of Kubernetes: `500m`, `512Mi`, `10Gi`."
        bad file!(cluster!("spec:\n  resources: {limits: {memory: 2GB}}\n")),
        good file!(cluster!("spec:\n  resources: {limits: {memory: 2Gi}}\n"));
    UnknownK0sField "FLT0117" Error "field that k0s does not know"
        rule "Fields of `spec.k0sConfig` are those of a ClusterConfig of the k0s version that the cluster writes: k0s \
              does not start with others, or passes over them."
        bad file!(cluster!("spec:\n  k0sConfig: {spec: {network: {podCidr: 10.8.0.0/16}}}\n")),
        good file!(cluster!("spec:\n  k0sConfig: {spec: {network: {podCIDR: 10.8.0.0/16}}}\n"));
    K0sConfig "FLT0118" Error "k0s configuration that cannot work"
        rule "Values of `spec.k0sConfig` are of the type that k0s reads, one of its words, and go together: networks of \
              pods and services do not overlap, lists name each entry once, and nothing in it needs a machine or holds \
              a password."
        bad file!(cluster!("spec:\n  k0sConfig: {spec: {network: {podCIDR: 10.96.0.0/16}}}\n")),
        good file!(cluster!("spec:\n  k0sConfig: {spec: {network: {podCIDR: 10.8.0.0/16}}}\n"));
    K0sConfigNoEffect "FLT0119" Warning "k0s configuration without effect"
        rule "Some values of `spec.k0sConfig` do nothing on a hosted control plane: the operator sets them, another \
              setting turns them off, or k0s no longer reads them."
        bad file!(cluster!("spec:\n  k0sConfig: {spec: {storage: {type: kine}}}\n")),
        good file!(cluster!("spec:\n  storage: {type: kine, kine: {dataSourceSecretName: edge-berlin-db}}\n"));
    Refused "FLT0120" Error "value that the operator refuses"
        rule "What the operator refuses about any cluster is told before it is asked: settings of etcd that are not known \
              or its own to decide, volumes of no source or of several, patches that cannot be read."
        bad file!(cluster!("spec:\n  storage: {etcd: {args: {qouta-backend-bytes: \"8589934592\"}}}\n")),
        good file!(cluster!("spec:\n  storage: {etcd: {args: {quota-backend-bytes: \"8589934592\"}}}\n"));
    NotReadable "FLT0199" Error "document that cannot be read"
        rule "What the rules above let through must be readable as a whole. This code means that a rule is missing \
              above; please report it."
        bad Example::Told("a value that the schema accepts and the program cannot read"),
        good Example::Told("the same without that value");
    Syntax "FLT0201" Error "not YAML"
        rule "Files are YAML 1.2 or JSON. A broken document hides no other: all are read and reported."
        bad file!(cluster!("spec:\n  version: v1.36.3: k0s\n")),
        good file!(cluster!("spec:\n  version: v1.36.3+k0s.2\n"));
    Tab "FLT0202" Error "tab used for indentation"
        rule "YAML is indented with spaces."
        bad file!(cluster!("spec:\n\treplicas: 3\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    UnclosedQuote "FLT0203" Error "quote not closed"
        rule "A text that begins with a quote ends with the same quote."
        bad file!(cluster!("spec:\n  version: \"v1.36.3\n  replicas: 3\n")),
        good file!(cluster!("spec:\n  version: \"v1.36.3\"\n  replicas: 3\n"));
    UnclosedBracket "FLT0204" Error "bracket not closed"
        rule "`[` and `{` need their closing partner."
        bad file!(cluster!("spec:\n  controlPlaneFlags: [--debug\n")),
        good file!(cluster!("spec:\n  controlPlaneFlags: [--debug]\n"));
    DuplicateKey "FLT0205" Error "key written twice"
        rule "A mapping has each key once. Readers that take the last one in silence hide half of what was written."
        bad file!(cluster!("spec:\n  replicas: 1\n  replicas: 3\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    AmbiguousWord "FLT0206" Warning "word that YAML 1.1 and 1.2 read differently"
        rule "kubectl reads YAML 1.1, where `no`, `yes`, `on`, `off`, `y`, `n` are booleans and `12:30` is a number. \
              Here they are text. Quotes make both agree."
        bad file!(cluster!("spec:\n  nodeSelector: {edge: no}\n")),
        good file!(cluster!("spec:\n  nodeSelector: {edge: \"no\"}\n"));
    AmbiguousNumber "FLT0207" Error "number that YAML 1.1 and 1.2 read differently"
        rule "`0755` is 493 for one reader and 755 for the other; `1_000`, `0o17` and `0b11` differ as well."
        bad file!(cluster!("spec:\n  replicas: 03\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    NumberOutOfRange "FLT0208" Error "number that does not fit"
        rule "Whole numbers fit 64 bits and other numbers a 64-bit float, as in the API server. `.nan` and `.inf` \
              do not exist in JSON."
        bad file!(cluster!("spec:\n  replicas: 123456789012345678901234567890\n")),
        good file!(cluster!("spec:\n  replicas: 3\n"));
    KeyNotText "FLT0209" Error "key that is not text"
        rule "Keys are text: objects of the API are JSON objects."
        bad file!(cluster!("spec:\n  nodeSelector: {[zone]: a}\n")),
        good file!(cluster!("spec:\n  nodeSelector: {zone: a}\n"));
    MergeKey "FLT0210" Error "merge key"
        rule "`<<` is not part of YAML 1.2 and readers disagree about it."
        bad file!(cluster!("spec:\n  podLabels: &labels {a: b}\n  nodeSelector:\n    <<: *labels\n")),
        good file!(cluster!("spec:\n  podLabels: &labels {a: b}\n  nodeSelector: *labels\n"));
    Tag "FLT0211" Error "tag not understood"
        rule "Only the tags `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!map`, `!!seq` are read."
        bad file!(cluster!("spec:\n  version: !secret v1.36.3\n")),
        good file!(cluster!("spec:\n  version: !!str v1.36.3\n"));
    Alias "FLT0212" Error "alias without its anchor"
        rule "`*name` repeats what `&name` marked earlier in the same document, and not a part of itself."
        bad file!(cluster!("spec:\n  nodeSelector: *labels\n")),
        good file!(cluster!("spec:\n  podLabels: &labels {a: b}\n  nodeSelector: *labels\n"));
    TooMuch "FLT0213" Error "over a limit of the reader"
        rule "A document has at most 256 KiB, 50,000 values, 64 levels and 100 aliases that make it at most four \
              times larger; a file has at most 1,000 documents. A file from Git must not be able to stop the reader."
        bad file!(cluster!("spec:\n  k0sConfig: {spec: {workerProfiles: [{name: a, values: {a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\
            ]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}]}}\n")),
        good file!(cluster!("spec:\n  k0sConfig: {spec: {workerProfiles: [{name: a, values: {a: [[]]}}]}}\n"));
    ControlCharacter "FLT0214" Error "control character"
        rule "Control characters other than tab and line ends are not allowed in files, and no text holds a zero \
              character."
        bad file!(cluster!("spec:\n  podAnnotations: {a: \"b\\0c\"}\n")),
        good file!(cluster!("spec:\n  podAnnotations: {a: \"b c\"}\n"));
    NotUtf8 "FLT0301" Error "not UTF-8"
        rule "Files and their paths are UTF-8."
        bad Example::Told("a file saved as Latin-1 or UTF-16"), good Example::Told("the same file saved as UTF-8");
    FileTooLarge "FLT0302" Error "file too large"
        rule "A file has at most 1 MiB, which is about a thousand clusters."
        bad Example::Told("a file of 2 MiB"), good Example::Told("the same documents in several files");
    LinkNotFollowed "FLT0303" Error "symbolic link or submodule not followed"
        rule "Links to directories and links out of the fleet are not read, and submodules never."
        bad Example::Told("clusters/shared.yaml is a symbolic link to /etc/shared.yaml"),
        good Example::Told("clusters/shared.yaml is a file");
    SameCluster "FLT0401" Error "cluster written twice"
        rule "A cluster is its namespace and name, and is written in one place."
        bad file!(cluster!("spec: {replicas: 1}\n"), cluster!("spec: {replicas: 3}\n")),
        good file!(cluster!("spec: {replicas: 1}\n"), cluster!("{name: paris, namespace: tenant-7}", ""));
    SecondFleet "FLT0402" Error "second Fleet"
        rule "A fleet has one document of kind Fleet."
        bad Example::Files(&[("fleet.yaml", fleet!("")), ("other.yaml", fleet!(""))]),
        good Example::Files(&[("fleet.yaml", fleet!(""))]);
    SameObject "FLT0403" Error "two clusters would need the same object"
        rule "Names of generated objects are made from the cluster's: a cluster `edge` with etcd makes a StatefulSet \
              `kmc-edge-etcd`, and so does a cluster `edge-etcd`."
        bad file!(cluster!("{name: edge, namespace: b}", ""), cluster!("{name: edge-etcd, namespace: b}", "")),
        good file!(cluster!("{name: edge, namespace: b}", ""), cluster!("{name: edge-store, namespace: b}", ""));
    SameNodePort "FLT0404" Error "node port used twice"
        rule "A node port belongs to one Service of the whole hosting cluster."
        bad file!(
            cluster!("{name: a, namespace: b}", "spec:\n  service: {apiPort: 30443, konnectivityPort: 30132}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  service: {apiPort: 30443, konnectivityPort: 30133}\n")),
        good file!(
            cluster!("{name: a, namespace: b}", "spec:\n  service: {apiPort: 30443, konnectivityPort: 30132}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  service: {apiPort: 30444, konnectivityPort: 30133}\n"));
    SameHost "FLT0405" Error "host name used twice"
        rule "A host name of an ingress or gateway leads to one cluster."
        bad file!(
            cluster!("{name: a, namespace: b}", "spec:\n  ingress: {apiHost: api.a.io, konnectivityHost: k.a.io}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  ingress: {apiHost: api.a.io, konnectivityHost: k.c.io}\n")),
        good file!(
            cluster!("{name: a, namespace: b}", "spec:\n  ingress: {apiHost: api.a.io, konnectivityHost: k.a.io}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  ingress: {apiHost: api.c.io, konnectivityHost: k.c.io}\n"));
    SameDataSource "FLT0406" Error "database used twice"
        rule "A kine data source holds the data of one cluster."
        bad file!(
            cluster!("{name: a, namespace: b}", "spec:\n  storage: {type: kine, kine: {dataSourceSecretName: db}}\n"),
            cluster!("{name: c, namespace: b}", "spec:\n  storage: {type: kine, kine: {dataSourceSecretName: db}}\n")),
        good file!(
            cluster!("{name: a, namespace: b}", "spec:\n  storage: {type: kine, kine: {dataSourceSecretName: a}}\n"),
            cluster!("{name: c, namespace: b}", "spec:\n  storage: {type: kine, kine: {dataSourceSecretName: c}}\n"));
    NamespaceNotAllowed "FLT0407" Error "namespace outside of the fleet"
        rule "A fleet with `spec.namespaces.allow` writes into these namespaces only."
        bad Example::Files(&[("fleet.yaml", fleet!("  namespaces: {allow: [prod]}\n")), ("a.yaml", cluster!(""))]),
        good Example::Files(&[("fleet.yaml", fleet!("  namespaces: {allow: [tenant-7]}\n")), ("a.yaml", cluster!(""))]);
    SameDefault "FLT0408" Error "field set by two defaults of one directory"
        rule "Of defaults in several directories the nearest wins. Two of one directory have no order, so they may not \
              set the same field, unless their selectors want different values of one label."
        bad Example::Files(&[("fleet.yaml", fleet!("")),
            ("clusters/a.yaml", defaults!("spec: {replicas: 1}\n")),
            ("clusters/b.yaml", defaults!("spec: {replicas: 3}\n"))]),
        good Example::Files(&[("fleet.yaml", fleet!("")),
            ("clusters/a.yaml", defaults!("selector: {matchLabels: {tier: lab}}\nspec: {replicas: 1}\n")),
            ("clusters/b.yaml", defaults!("selector: {matchLabels: {tier: prod}}\nspec: {replicas: 3}\n"))]);
    NoRoot "FLT0409" Warning "defaults without a Fleet"
        rule "Defaults are found by going up to the directory with `fleet.yaml`. Without that file, naming one file \
              reads this file alone, and its cluster would lose what it inherits."
        bad Example::Files(&[("defaults.yaml", defaults!("spec: {replicas: 3}\n")), ("a.yaml", cluster!(""))]),
        good Example::Files(&[("fleet.yaml", fleet!("")),
            ("defaults.yaml", defaults!("spec: {replicas: 3}\n")), ("a.yaml", cluster!(""))]);
    RemovedAndWritten "FLT0410" Error "cluster in the files and in a Removed record"
        rule "A Removed record names a cluster that is no longer in the files."
        bad Example::Files(&[("a.yaml", cluster!("")), ("gone.yaml", removed!("{namespace: tenant-7, name: edge-berlin}"))]),
        good Example::Files(&[("a.yaml", cluster!(""))]);
    SameRecord "FLT0411" Error "two records about one cluster"
        rule "One record says what happens to a cluster."
        bad Example::Files(&[("a.yaml", removed!("{namespace: a, name: b}")), ("b.yaml", removed!("{namespace: a, name: b}"))]),
        good Example::Files(&[("a.yaml", cluster!(""))]);
    SameAddress "FLT0412" Error "load-balancer address used twice"
        rule "An address and port of a load balancer leads to one cluster, be it written as `spec.externalAddress` or as \
              an annotation that asks MetalLB, kube-vip or Cilium for it."
        bad file!(
            cluster!("{name: a, namespace: b}", "spec:\n  externalAddress: 192.0.2.7\n  service: {type: LoadBalancer}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  externalAddress: 192.0.2.7\n  service: {type: LoadBalancer}\n")),
        good file!(
            cluster!("{name: a, namespace: b}", "spec:\n  externalAddress: 192.0.2.7\n  service: {type: LoadBalancer}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  externalAddress: 192.0.2.8\n  service: {type: LoadBalancer}\n"));
    SamePath "FLT0413" Error "directory of a node used twice"
        rule "A `hostPath` holds the data of one cluster, and none lies inside of another, unless node selectors keep the \
              two on different nodes."
        bad file!(
            cluster!("{name: a, namespace: b}", "spec:\n  persistence: {type: hostPath, hostPath: /srv/k0s}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  persistence: {type: hostPath, hostPath: /srv/k0s/c}\n")),
        good file!(
            cluster!("{name: a, namespace: b}", "spec:\n  persistence: {type: hostPath, hostPath: /srv/k0s/a}\n"),
            cluster!("{name: c, namespace: d}", "spec:\n  persistence: {type: hostPath, hostPath: /srv/k0s/c}\n"));
    IdleRecord "FLT0414" Warning "record that takes nothing over"
        rule "An Adopt record is about a cluster that the files of a fleet want: it says that the one which runs under \
              that name may become theirs."
        bad Example::Files(&[("fleet.yaml", fleet!("")), ("changes/adopt.yaml", adopt!())]),
        good Example::Files(&[("fleet.yaml", fleet!("")), ("a.yaml", cluster!("")), ("changes/adopt.yaml", adopt!())]);
    Generator "FLT0501" Error "rows that are not there"
        rule "The path of a generator is relative to its file, stays inside of the fleet, and leads to at least one file."
        bad Example::Files(&[("sets/stores.yaml", set!("[{csv: {path: store.csv}}]")), ("sets/stores.csv", "site\nberlin\n")]),
        good Example::Files(&[("sets/stores.yaml", set!("[{csv: {path: stores.csv}}]")), ("sets/stores.csv", "site\nberlin\n")]);
    Table "FLT0502" Error "table that cannot be read"
        rule "The first line of a table names the columns, each once; every row has a cell for each column; a cell in \
              double quotes ends with one. Rows that are right are read although others are wrong."
        bad Example::Files(&[("stores.yaml", set!("[{csv: {path: stores.csv}}]")), ("stores.csv", "site,zone\nberlin\n")]),
        good Example::Files(&[("stores.yaml", set!("[{csv: {path: stores.csv}}]")), ("stores.csv", "site,zone\nberlin,\n")]);
    Column "FLT0503" Error "column that is not there"
        rule "`key` and `columns` name columns that the rows have."
        bad file!(set!("[{list: [{sit: berlin}]}]")),
        good file!(set!("[{list: [{site: berlin}]}]"));
    Key "FLT0504" Error "row without a key of its own"
        rule "Every row has a value in the column that `key` names, and no two rows have the same: what tells rows apart \
              must not depend on their order."
        bad file!(set!("[{list: [{site: berlin}, {site: berlin, zone: a}]}]")),
        good file!(set!("[{list: [{site: berlin}, {site: paris, zone: a}]}]"));
    Condition "FLT0505" Error "condition that cannot be used"
        rule "`where` is CEL of at most 1,024 bytes with comparisons, `&&`, `||`, `!`, `in`, `has`, `size`, `contains`, \
              `startsWith`, `endsWith`, `exists` and `all`, without a loop inside of a loop."
        bad file!(set!("[{list: [{site: berlin}]}]", "  where: site.matches('b.*')\n")),
        good file!(set!("[{list: [{site: berlin}]}]", "  where: site.startsWith('b')\n"));
    ConditionFailed "FLT0506" Error "condition without an answer"
        rule "A condition that fails for a row is an error and never a no: a typing mistake would remove clusters."
        bad file!(set!("[{list: [{site: berlin}]}]", "  where: tier == 'prod'\n")),
        good file!(set!("[{list: [{site: berlin, tier: lab}, {site: paris, tier: prod}]}]", "  where: tier == 'prod'\n"));
    Unexpected "FLT0507" Error "other number of clusters than expected"
        rule "`expect` bounds the number of clusters of a set. Outside of it none of them is changed."
        bad file!(set!("[{list: [{site: berlin}]}]", "  expect: {min: 2}\n")),
        good file!(set!("[{list: [{site: berlin}]}]", "  expect: {min: 1, max: 3}\n"));
    Reference "FLT0508" Error "reference that cannot be read"
        rule "`${name}` stands for a value of the row, `${name ?? fallback}` for the fallback where there is none, `$${` \
              for the text `${`. References stand in values, not in keys."
        bad file!(set!("[{list: [{site: berlin}]}]", "", "{version: \"${site\"}")),
        good file!(set!("[{list: [{site: berlin}]}]", "", "{podLabels: {site: \"${site}\", zone: \"${zone ?? none}\"}}"));
    Undefined "FLT0509" Error "reference without a value"
        rule "What a template refers to is in every row, and not empty, unless the reference has a fallback."
        bad file!(set!("[{list: [{site: berlin}]}]", "", "{replicas: \"${replicas}\"}")),
        good file!(set!("[{list: [{site: berlin}]}]", "", "{replicas: \"${replicas ?? 1}\"}"));
    Converted "FLT0601" Warning "object of another operator converted"
        rule "A `Cluster` of k0smotron is read as the `K0smotronCluster` that means the same. Nothing is taken over from \
              clusters that run."
        bad file!(foreign!("spec: {service: {type: NodePort, apiPort: 30443, konnectivityPort: 30132}}\n")),
        good file!(cluster!("spec: {service: {type: NodePort, apiPort: 30443, konnectivityPort: 30132}}\n"));
    Renamed "FLT0602" Warning "field renamed"
        rule "Fields of a `Cluster` of k0smotron that have another name or form here are moved."
        bad Example::Told("kind: Cluster with `k0sVersion: v1.36.3`"),
        good Example::Told("kind: K0smotronCluster with `version: v1.36.3`");
    Dropped "FLT0603" Warning "field left out"
        rule "Fields of a `Cluster` of k0smotron that have no counterpart, or that its operator had written itself, are \
              left out."
        bad Example::Told("kind: Cluster with `persistence: {autoDeletePVCs: true}`"),
        good Example::Told("kind: K0smotronCluster with `deletionPolicy: Delete`");
    NotConverted "FLT0604" Error "field that cannot be converted"
        rule "What cannot be taken over without a decision of a person is an error."
        bad Example::Told("kind: Cluster with `storage: {kine: {dataSourceURL: ...}}`, a password in a file"),
        good Example::Told("kind: K0smotronCluster with `storage: {kine: {dataSourceSecretName: ...}}`");
    DefaultWritten "FLT0605" Warning "default written out"
        rule "Where the default of k0smotron is another one than here, the conversion writes it out."
        bad Example::Told("kind: Cluster without `service`"),
        good Example::Told("kind: K0smotronCluster with a `service`");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        let numbers: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let sorted: BTreeSet<&str> = numbers.iter().copied().collect();
        assert_eq!(numbers, sorted.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_code_is_found_as_people_type_it() {
        assert_eq!(Code::find("flt0103"), Some(Code::UnknownField));
        assert_eq!(Code::find("FLT9999"), None);
    }
}
