//! Ports that share memory with the guest: the vhost-user protocol as a network device.
