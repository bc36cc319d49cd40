//! A directory, a single file, or standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::ignored::{IGNORE_BYTES_MAX, IGNORE_FILE, IgnoreError, Ignored};
use super::{FLEET_FILE, LoadError, STDIN_PATH, is_fleet_file, is_hidden};
use crate::diagnostic::{FILE_BYTES_MAX, Refusal, Selection, SourceTree};

/// Deepest nesting of directories. Far above what people make, and an end for file systems that have none.
const DEPTH_MAX: usize = 64;

/// Reads the fleet that a path belongs to.
///
/// *Shape*: the root is the nearest directory upward from `path`, itself included, with a `fleet.yaml`; the search
/// ends at the top of a Git repository. All below the root is read, and `path` becomes the selection. Without a root,
/// the path itself is all there is. Hidden files and directories, and files that are neither YAML nor JSON, are not
/// read. Links are followed only from one file to another below the root.
/// *Errors*: whatever cannot be read, and a tree over its budget.
pub fn directory(path: &Path) -> Result<SourceTree, LoadError> {
    let found = |source| LoadError::NotFound {
        path: path.to_owned(),
        source,
    };
    let real = fs::canonicalize(path).map_err(found)?;
    let metadata = fs::metadata(&real).map_err(found)?;
    let start = match (metadata.is_dir(), metadata.is_file(), real.parent()) {
        (true, _, _) => real.as_path(),
        (false, true, Some(parent)) => parent,
        (false, _, _) => {
            return Err(LoadError::NeitherFileNorDirectory {
                path: path.to_owned(),
            });
        }
    };
    let mut tree = SourceTree::new();
    let Some((root, levels)) = root(start) else {
        if metadata.is_dir() {
            tree.prefix = prefix(path);
            let ignored = ignored(&real)?;
            walk(&mut tree, &real, &ignored, &real, "", 0)?;
        } else {
            let (parent, name) = split(path);
            tree.prefix = prefix(parent);
            add(&mut tree, &real, name)?;
        }
        return Ok(tree);
    };
    let shown = if metadata.is_dir() { path } else { split(path).0 };
    tree.prefix = prefix(&upward(shown, levels));
    walk(&mut tree, root, &ignored(root)?, root, "", 0)?;
    tree.selection = match real.strip_prefix(root).ok().and_then(slashed) {
        Some(below) if !below.is_empty() => Selection::Below(below),
        Some(_) | None => Selection::All,
    };
    if metadata.is_file()
        && let Selection::Below(selected) = tree.selection.clone()
        && !tree.has(&selected)
    {
        // Named by a person, so it is read whatever it is called.
        add(&mut tree, &real, selected)?;
    }
    Ok(tree)
}

/// Reads one file of unknown name.
pub fn stdin(reader: impl Read) -> Result<SourceTree, LoadError> {
    let bytes = bounded(reader).map_err(|source| LoadError::ReadStdin { source })?;
    let mut tree = SourceTree::new();
    tree.add(STDIN_PATH, bytes)?;
    Ok(tree)
}

/// Finds the nearest directory with a fleet file, and how many levels up it is.
fn root(start: &Path) -> Option<(&Path, usize)> {
    for (levels, directory) in start.ancestors().enumerate() {
        if directory.join(FLEET_FILE).exists() {
            return Some((directory, levels));
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

/// Reads what is ignored below a root. A link could lead anywhere and is refused, unless it stays inside, as in a
/// mounted ConfigMap.
fn ignored(root: &Path) -> Result<Ignored, LoadError> {
    let path = root.join(IGNORE_FILE);
    let read_error = |source| LoadError::ReadFile {
        path: path.clone(),
        source,
    };
    let ignore_error = |source| LoadError::Ignore {
        path: root.to_owned(),
        source,
    };
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ignored::nothing()),
        Err(error) => return Err(read_error(error)),
        Ok(_) => {}
    }
    let real = fs::canonicalize(&path).map_err(read_error)?;
    if !real.starts_with(root) || !real.is_file() {
        return Err(ignore_error(IgnoreError::Link));
    }
    let mut bytes = Vec::new();
    fs::File::open(&real)
        .and_then(|file| file.take(IGNORE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(read_error)?;
    Ignored::read(&bytes).map_err(ignore_error)
}

/// Reads everything below a directory, in the order of names.
fn walk(
    tree: &mut SourceTree,
    root: &Path,
    ignored: &Ignored,
    directory: &Path,
    below: &str,
    depth: usize,
) -> Result<(), LoadError> {
    if depth > DEPTH_MAX {
        return Err(LoadError::TooDeep {
            path: directory.to_owned(),
        });
    }
    let failed = |source| LoadError::ReadDirectory {
        path: directory.to_owned(),
        source,
    };
    let mut entries = fs::read_dir(directory)
        .and_then(Iterator::collect::<io::Result<Vec<fs::DirEntry>>>)
        .map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let kind = entry.file_type().map_err(failed)?;
        let shown = format!("{below}{}", name.to_string_lossy());
        if is_hidden(&name.to_string_lossy()) {
            continue;
        }
        let is_ignored = if kind.is_dir() {
            ignored.directory(&shown)
        } else {
            ignored.file(&shown)
        };
        if is_ignored {
            continue;
        }
        if name.to_str().is_none() && (kind.is_dir() || is_fleet_file(&shown)) {
            tree.refuse(shown, Refusal::PathNotText)?;
        } else if kind.is_symlink() {
            link(tree, root, &entry.path(), shown)?;
        } else if kind.is_dir() {
            walk(
                tree,
                root,
                ignored,
                &entry.path(),
                &format!("{shown}/"),
                depth + 1,
            )?;
        } else if kind.is_file() && is_fleet_file(&shown) {
            add(tree, &entry.path(), shown)?;
        }
    }
    Ok(())
}

/// Follows a link from a file that is read to a file below the root, as in a mounted ConfigMap. All others that could
/// bring clusters into the fleet are refused.
fn link(tree: &mut SourceTree, root: &Path, path: &Path, shown: String) -> Result<(), LoadError> {
    let target = fs::canonicalize(path).ok();
    let is_inside = target.as_deref().is_some_and(|target| target.starts_with(root));
    match target {
        Some(target) if target.is_dir() => tree.refuse(shown, Refusal::SymbolicLink)?,
        _ if !is_fleet_file(&shown) => return Ok(()),
        Some(target) if is_inside && target.is_file() => return add(tree, &target, shown),
        // Outside, a pipe or device, or leading nowhere.
        Some(_) | None => tree.refuse(shown, Refusal::SymbolicLink)?,
    };
    Ok(())
}

fn add(tree: &mut SourceTree, file: &Path, shown: String) -> Result<(), LoadError> {
    let read = || bounded(fs::File::open(file)?);
    let bytes = read().map_err(|source| LoadError::ReadFile {
        path: file.to_owned(),
        source,
    })?;
    tree.add(shown, bytes)?;
    Ok(())
}

/// Reads at most one byte more than a file may have, which is enough to refuse it.
fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Splits the path of a file into its directory and its name.
fn split(path: &Path) -> (&Path, String) {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    (path.parent().unwrap_or(Path::new("")), name)
}

/// A path below the root, with `/`; `None` when it is not text.
fn slashed(path: &Path) -> Option<String> {
    let names = path.components().map(|part| part.as_os_str().to_str());
    Some(names.collect::<Option<Vec<_>>>()?.join("/"))
}

/// Goes some levels up from a path as a person wrote it.
fn upward(path: &Path, levels: usize) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..levels {
        let is_named = matches!(path.components().next_back(), Some(Component::Normal(_)));
        if !is_named || !path.pop() {
            path.push("..");
        }
    }
    path
}

/// What is put in front of the paths of a tree so that they can be opened: nothing for the current directory.
fn prefix(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    let text = path.to_string_lossy();
    if text.is_empty() || text.ends_with('/') {
        text.into_owned()
    } else {
        format!("{text}/")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::diagnostic::Code;

    /// Makes files; a path that ends with `/` is a directory.
    fn files(paths: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if path.to_string_lossy().ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, "a: 1\n").unwrap();
            }
        }
        folder
    }

    fn paths(tree: &SourceTree) -> Vec<&str> {
        tree.whole_files()
            .into_iter()
            .map(|(_, file)| file.path.as_str())
            .collect()
    }

    fn codes(tree: &SourceTree) -> Vec<(Code, String)> {
        let place = |finding: &crate::diagnostic::Finding| {
            let file = tree.file(finding.span().unwrap().file);
            (finding.code, file.path.clone())
        };
        tree.findings().iter().map(place).collect()
    }

    #[test]
    fn yaml_and_json_are_read_at_any_depth_and_hidden_ones_are_not() {
        let folder = files(&[
            "b.yaml",
            "a/c.yml",
            "a/d/e.JSON",
            "README.md",
            ".git/x.yaml",
            ".hidden.yaml",
            "a/.f/g.yaml",
            "yaml",
        ]);
        let tree = directory(folder.path()).unwrap();
        assert_eq!(paths(&tree), ["a/c.yml", "a/d/e.JSON", "b.yaml"]);
        assert_eq!(tree.selection, Selection::All);
        assert!(tree.findings().is_empty());
    }

    #[test]
    fn the_whole_fleet_is_read_whatever_part_of_it_is_named() {
        let folder = files(&[
            "fleet/fleet.yaml",
            "fleet/clusters/prod/a.yaml",
            "fleet/b.yaml",
            "other.yaml",
        ]);
        let below = |path: &str| folder.path().join("fleet").join(path);
        let all = ["b.yaml", "clusters/prod/a.yaml", "fleet.yaml"];
        for (path, selection) in [
            ("", Selection::All),
            ("clusters", Selection::Below("clusters".into())),
            (
                "clusters/prod/a.yaml",
                Selection::Below("clusters/prod/a.yaml".into()),
            ),
        ] {
            let tree = directory(&below(path)).unwrap();
            assert_eq!((paths(&tree), &tree.selection), (all.to_vec(), &selection));
        }
    }

    #[test]
    fn what_the_ignore_file_names_is_no_part_of_the_fleet() {
        let folder = files(&[
            "fleet.yaml",
            "a.yaml",
            "b.draft.yaml",
            "old/c.yaml",
            "keep/old/d.yaml",
        ]);
        fs::write(folder.path().join(".fleetignore"), "*.draft.yaml\n/old/\n").unwrap();
        let tree = directory(&folder.path().join("keep")).unwrap();
        assert_eq!(paths(&tree), ["a.yaml", "fleet.yaml", "keep/old/d.yaml"]);
        fs::write(folder.path().join(".fleetignore"), "[z-a]\n").unwrap();
        let error = directory(folder.path()).unwrap_err();
        assert!(matches!(error, LoadError::Ignore { .. }));
        fs::remove_file(folder.path().join(".fleetignore")).unwrap();
        symlink("/etc/hostname", folder.path().join(".fleetignore")).unwrap();
        assert!(matches!(directory(folder.path()), Err(LoadError::Ignore { .. })));
    }

    #[test]
    fn the_search_for_a_root_ends_at_the_repository() {
        let folder = files(&["fleet.yaml", "repository/.git/", "repository/a.yaml"]);
        let tree = directory(&folder.path().join("repository")).unwrap();
        assert_eq!(paths(&tree), ["a.yaml"]);
    }

    #[test]
    fn a_single_file_is_read_alone_and_by_any_name() {
        let folder = files(&["one.txt", "two.yaml"]);
        let tree = directory(&folder.path().join("one.txt")).unwrap();
        assert_eq!(paths(&tree), ["one.txt"]);
    }

    #[test]
    fn paths_are_shown_from_where_one_is() {
        for (path, levels, expected) in [
            (".", 0, ""),
            ("", 0, ""),
            ("fleets/acme", 0, "fleets/acme/"),
            ("./fleets/acme/", 0, "fleets/acme/"),
            ("fleets/acme/clusters", 1, "fleets/acme/"),
            ("clusters/prod", 2, ""),
            (".", 1, "../"),
            ("clusters", 3, "../../"),
            ("..", 1, "../../"),
            ("/srv/fleet", 0, "/srv/fleet/"),
        ] {
            assert_eq!(
                prefix(&upward(Path::new(path), levels)),
                expected,
                "{path} {levels}"
            );
        }
    }

    #[test]
    fn links_out_of_the_fleet_and_to_directories_are_refused_and_others_followed() {
        let folder = files(&["fleet/real/a.yaml", "outside.yaml", "outside/b.yaml"]);
        let fleet = folder.path().join("fleet");
        symlink(folder.path().join("outside.yaml"), fleet.join("out.yaml")).unwrap();
        symlink(folder.path().join("outside"), fleet.join("directory")).unwrap();
        symlink("real", fleet.join("inside")).unwrap();
        symlink("nowhere.yaml", fleet.join("broken.yaml")).unwrap();
        symlink("loop.yaml", fleet.join("loop.yaml")).unwrap();
        symlink("real/a.yaml", fleet.join("alias.yaml")).unwrap();
        symlink("../outside.yaml", fleet.join("README")).unwrap();
        symlink("/dev/zero", fleet.join("endless.yaml")).unwrap();
        let tree = directory(&fleet).unwrap();
        assert_eq!(paths(&tree), ["alias.yaml", "real/a.yaml"]);
        let refused = [
            "broken.yaml",
            "directory",
            "endless.yaml",
            "inside",
            "loop.yaml",
            "out.yaml",
        ];
        assert_eq!(
            codes(&tree),
            refused.map(|path| (Code::LinkNotFollowed, path.to_owned()))
        );
    }

    #[test]
    fn a_mounted_config_map_is_read() {
        let folder = files(&["..2026_11_26/fleet.yaml", "..2026_11_26/a.yaml"]);
        symlink("..2026_11_26", folder.path().join("..data")).unwrap();
        for name in ["fleet.yaml", "a.yaml"] {
            symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
        }
        let tree = directory(folder.path()).unwrap();
        assert_eq!(
            (paths(&tree), tree.findings().len()),
            (vec!["a.yaml", "fleet.yaml"], 0)
        );
    }

    #[test]
    fn what_is_not_there_is_an_error_and_no_empty_tree() {
        let folder = files(&[]);
        assert!(matches!(
            directory(&folder.path().join("none")),
            Err(LoadError::NotFound { .. })
        ));
        assert!(matches!(
            directory(Path::new("/dev/null")),
            Err(LoadError::NeitherFileNorDirectory { .. })
        ));
    }

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_named_and_the_others_are_read() {
        let folder = files(&["a.yaml"]);
        fs::write(folder.path().join("big.yaml"), vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
        fs::write(folder.path().join("latin.yaml"), b"name: caf\xe9\n").unwrap();
        let tree = directory(folder.path()).unwrap();
        assert_eq!(paths(&tree), ["a.yaml"]);
        let expected = [(Code::FileTooLarge, "big.yaml"), (Code::NotUtf8, "latin.yaml")];
        assert_eq!(codes(&tree), expected.map(|(code, path)| (code, path.to_owned())));
    }

    #[test]
    fn standard_input_is_one_file_within_the_same_limit() {
        let tree = stdin("a: 1\n".as_bytes()).unwrap();
        assert_eq!(paths(&tree), [STDIN_PATH]);
        let tree = stdin(io::repeat(b'#')).unwrap();
        assert_eq!(codes(&tree), [(Code::FileTooLarge, STDIN_PATH.to_owned())]);
    }
}
