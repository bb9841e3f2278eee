//! What hangs is given up. These wait for limits to be over and do nothing else, so they do it together.

use std::thread;

use crate::{dead_bus, encrypted, helper};

#[test]
fn what_hangs_is_given_up_in_time_and_nothing_of_it_goes_on() {
    let tests: [(&str, fn()); 4] = [
        ("dead bus, stored", dead_bus::a_start_with_a_dead_bus_comes_back_with_a_warning),
        ("dead bus, not stored", dead_bus::a_dead_bus_is_waited_for_once_and_not_for_every_login_that_might_be_there),
        ("systemd-creds", encrypted::a_systemd_creds_that_hangs_is_given_up_and_ended),
        ("helper", helper::a_helper_that_hangs_for_as_long_as_it_may_does_not_end_the_hook),
    ];
    thread::scope(|scope| {
        for (name, test) in tests {
            thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, test).expect("a thread");
        }
    });
}
