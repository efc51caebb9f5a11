//! driver-core from outside, without any hypervisor.

mod contract;
mod evidence;
mod fake;
mod input;
mod life;
mod networks;
mod shell_on_bash;
mod shell_on_script;
mod stage;
mod verbs;
