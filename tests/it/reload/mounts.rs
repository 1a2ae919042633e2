//! How the files change where they are mounted by Kubernetes.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::{FAILED, alice};
use crate::support::{
    eventually,
    idp::Idp,
    service::{Service, config_for, whole},
};

/// A volume of Kubernetes: `config.yaml` leads to `..data/config.yaml`, and `..data` to a directory with the version.
/// A change makes a new directory, and a link that is renamed over `..data`; the old directory is removed.
fn publish(volume: &Path, version: u32, config: &str) {
    let directory = format!("..version_{version}");
    fs::create_dir(volume.join(&directory)).expect("made");
    fs::write(volume.join(&directory).join("config.yaml"), config).expect("written");
    symlink(&directory, volume.join("..data_tmp")).expect("linked");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renamed");
    if version == 1 {
        symlink("..data/config.yaml", volume.join("config.yaml")).expect("linked");
    } else {
        fs::remove_dir_all(volume.join(format!("..version_{}", version - 1))).expect("removed");
    }
}

#[test]
fn a_volume_whose_links_are_swapped_is_read_again() {
    let idp = Idp::start();
    let volume = TempDir::new().expect("a directory");
    let usual = whole(&config_for(&idp));
    publish(volume.path(), 1, &usual);
    let path = volume.path().to_owned();
    let mut service = Service::at(path.join("config.yaml"), volume);
    service.wait_until_ready();
    let token = alice(&idp);
    assert_eq!(service.check_token(&token).user(), Some("alice"));

    publish(&path, 2, &format!("{usual}identity_header: x-user\n"));
    service.wait_for_generation(2.0);
    let header = ("x-user".to_owned(), "alice".to_owned());
    assert_eq!(service.check_token(&token).headers, [header]);
    publish(&path, 3, &usual);
    service.wait_for_generation(3.0);
    let header = ("x-remote-user".to_owned(), "alice".to_owned());
    assert_eq!(service.check_token(&token).headers, [header]);
}

#[test]
fn a_file_that_goes_and_comes_back_is_a_failure_in_between() {
    let idp = Idp::start();
    let mut service = Service::start(&idp);
    let file = service.directory().join("config.yaml");
    let aside = service.directory().join("aside");
    fs::rename(&file, &aside).expect("renamed");
    eventually("the failure", || {
        (service.metric(FAILED) > 0.0).then_some(())
    });
    assert_eq!(service.check_token(&alice(&idp)).user(), Some("alice"));
    fs::rename(&aside, &file).expect("renamed");
    eventually("its end", || (service.metric(FAILED) == 0.0).then_some(()));
    assert_eq!(service.generation().to_bits(), 1.0_f64.to_bits());
}

/// Not there yet when the configuration names it.
#[test]
fn a_file_that_is_missing_is_looked_for() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let with_map = config_for(&idp).replace(
        "claim: preferred_username }",
        "claim: preferred_username, map: users.yaml }",
    );
    service.write_config(&with_map);
    eventually("the failure", || {
        (service.metric(FAILED) > 0.0).then_some(())
    });
    fs::write(service.directory().join("users.yaml"), "alice: amelia\n").expect("written");
    service.wait_for_generation(2.0);
    let mut asker = service.asker();
    assert_eq!(asker.check_token(&alice(&idp)).user(), Some("amelia"));
}
