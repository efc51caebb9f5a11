# Machines and disks that a script makes while it runs.
package Innkeeper::Create;
use strict;
use warnings;
use Cwd ();
use POSIX ();

# The shell command that starts the machine of such arguments: theirs, or one that is made of them.
sub start_command {
    my ($args) = @_;
    return $args->{startCommand} if defined $args->{startCommand};
    my $with = sub { defined $_[0] ? ",$_[0]" : "" };
    my @words = (
        $args->{qemuBinary} || hypervisor(), "-m", "384",
        "-netdev", "user,id=net0" . $with->($args->{netBackendArgs}),
        "-device", "virtio-net-pci,netdev=net0" . $with->($args->{netFrontendArgs}),
        '$QEMU_OPTS',
    );
    if (defined $args->{hda}) {
        my ($disk, $interface) = (Cwd::abs_path($args->{hda}), $args->{hdaInterface});
        push @words, defined $interface && $interface eq "scsi"
            ? ("-drive", "id=hda,file=$disk,werror=report,if=none", "-device", "scsi-hd,drive=hda")
            : ("-drive", "file=$disk" . (defined $interface ? ",if=$interface" : "") . ",werror=report");
    }
    push @words, "-cdrom", $args->{cdrom} if defined $args->{cdrom};
    push @words, "-device", "usb-ehci", "-drive", "id=usbdisk,file=$args->{usb},if=none,readonly=on",
        "-device", "usb-storage,drive=usbdisk" if defined $args->{usb};
    push @words, "-bios", $args->{bios} if defined $args->{bios};
    push @words, $args->{qemuFlags} if defined $args->{qemuFlags};
    return join " ", @words;
}

# The name that they give the machine, or that its start script does.
sub name {
    my ($args) = @_;
    return $args->{name} if $args->{name};
    return ($args->{startCommand} || "") =~ /run-(.+)-vm$/ ? $1 : "machine";
}

# NixOS has QEMU with KVM under this name; others may not.
sub hypervisor {
    return "qemu-kvm" if grep { -x "$_/qemu-kvm" } split /:/, $ENV{PATH} || "";
    return "qemu-system-" . (POSIX::uname())[4] . " -machine accel=kvm:tcg";
}

# An empty raw disk of so many MiB, as a file.
sub disk {
    my ($name, $size) = @_;
    system("qemu-img", "create", "-q", "-f", "raw", $name, "${size}M") == 0
        or die "cannot create image of size $size\n";
}

1;
