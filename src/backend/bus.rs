//! The session bus: where it is, whose it is, and what its errors mean.
//!
//! In: the environment. Out: a connected socket and the uid to claim on it. What can go wrong: there
//! is no bus, its address is none of a local socket, it belongs to another user.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to, socket_with, sockopt,
};
use zbus::address::transport::{Transport, UnixSocket};

use super::keyring::Error;

/// Connects to the session bus: that of `DBUS_SESSION_BUS_ADDRESS`, else that of the user's runtime
/// directory. Gives the uid that the bus knows this process by, too.
pub(super) fn connect() -> Result<(UnixStream, u32), Error> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let uid = rustix::process::geteuid().as_raw();
    let outer = outer(&map, uid).unwrap_or(uid);
    let addresses = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|it| !it.is_empty());
    let addresses = addresses.unwrap_or_else(|| format!("unix:path=/run/user/{outer}/bus"));
    let mut failure = Error::Unreachable(format!("the session bus {addresses:?} is no local socket"));
    for address in addresses.split(';') {
        let Some(place) = local(address) else { continue };
        match open(&place) {
            Ok(stream) => return own(stream, uid).map(|stream| (stream, outer)),
            Err(Errno::AGAIN) => failure = Error::TimedOut,
            Err(error) => failure = Error::Unreachable(format!("the session bus {address}: {error}")),
        }
    }
    Err(failure)
}

/// The uid that `uid` is outside of this user namespace.
fn outer(map: &str, uid: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (Ok(inside), Ok(outside), Ok(count)) = (fields.next()?, fields.next()?, fields.next()?) else {
            return None;
        };
        let offset = uid.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// The place of a socket of this machine. Other addresses start programs or lead to other machines; a
/// keyring is not asked that way.
fn local(address: &str) -> Option<SocketAddrUnix> {
    let address: zbus::Address = address.parse().ok()?;
    let Transport::Unix(unix) = address.transport() else { return None };
    match unix.path() {
        UnixSocket::File(path) => SocketAddrUnix::new::<PathBuf>(path.clone()).ok(),
        UnixSocket::Abstract(name) => {
            SocketAddrUnix::new_abstract_name(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str())).ok()
        }
        _ => None,
    }
}

/// Connects without waiting: a bus whose queue is full has been dead for long.
fn open(place: &SocketAddrUnix) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect_to(&socket, place)?;
    Ok(UnixStream::from(socket))
}

/// Makes sure that the bus runs as this user. A daemon refuses others, but only after they have told
/// it who they are; and the name of a bus that is gone could be anybody's by now.
fn own(stream: UnixStream, uid: u32) -> Result<UnixStream, Error> {
    let peer = sockopt::socket_peercred(&stream).map_err(|error| Error::Failed(error.to_string()))?;
    match peer.uid.as_raw() {
        theirs if theirs == uid => Ok(stream),
        theirs => Err(Error::Refused(format!("it is that of uid {theirs}, and this is uid {uid}"))),
    }
}

/// An error of a call or of the handshake.
pub(super) fn error(error: zbus::Error) -> Error {
    match error {
        zbus::Error::Handshake(text) => Error::Refused(text),
        zbus::Error::FDO(error) => fdo_error(*error),
        zbus::Error::MethodError(name, text, _) => named(name.as_str(), &text.unwrap_or_default()),
        other => Error::Failed(other.to_string()),
    }
}

/// An error of a property.
pub(super) fn fdo_error(error: zbus::fdo::Error) -> Error {
    use zbus::DBusError;
    match error {
        zbus::fdo::Error::ZBus(inner) => self::error(inner),
        other => named(other.name().as_str(), other.description().unwrap_or_default()),
    }
}

fn named(name: &str, text: &str) -> Error {
    let short = name.rsplit('.').next().unwrap_or_default();
    match short {
        "IsLocked" => Error::Locked,
        "AccessDenied" | "AuthFailed" => Error::Refused(text.to_owned()),
        "NoReply" | "Timeout" | "TimedOut" => Error::TimedOut,
        "ServiceUnknown" | "NameHasNoOwner" => {
            Error::Unreachable("there is no keyring service on the session bus".to_owned())
        }
        _ if name.contains(".Spawn.") => {
            Error::Unreachable(format!("the session bus cannot start a keyring service: {text}"))
        }
        _ => Error::Failed(format!("{short}: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_knows_a_user_by_the_uid_outside() {
        let host = "         0          0 4294967295\n";
        assert_eq!((outer(host, 0), outer(host, 4100)), (Some(0), Some(4100)));
        let rootless = "         0       4100          1\n         1     300000      65536\n";
        assert_eq!((outer(rootless, 0), outer(rootless, 5)), (Some(4100), Some(300_004)));
        assert_eq!(outer(rootless, 70_000), None);
    }

    #[test]
    fn only_sockets_of_this_machine_are_asked() {
        assert!(local("unix:path=/run/user/4100/bus,guid=0123456789abcdef0123456789abcdef").is_some());
        assert!(local("unix:abstract=/tmp/dbus-x").is_some());
        for other in ["tcp:host=example.org,port=1", "unixexec:path=/bin/sh", "autolaunch:", "", "unix:dir=/tmp"] {
            assert!(local(other).is_none(), "{other}");
        }
    }

    #[test]
    fn errors_have_their_own_meaning() {
        assert!(matches!(named("org.freedesktop.Secret.Error.IsLocked", ""), Error::Locked));
        assert!(matches!(named("org.freedesktop.DBus.Error.ServiceUnknown", ""), Error::Unreachable(_)));
        assert!(matches!(named("org.freedesktop.DBus.Error.Spawn.ChildExited", ""), Error::Unreachable(_)));
        assert!(matches!(named("org.freedesktop.DBus.Error.NoReply", ""), Error::TimedOut));
        assert!(matches!(named("org.example.Other", ""), Error::Failed(_)));
    }
}
