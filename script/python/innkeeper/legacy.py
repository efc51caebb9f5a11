"""Machines in the words of old scripts: ``createMachine({...})`` of 2009 to 2023."""

import os


def start_command(args):
    """The shell command that starts the machine of such a dictionary, and its name if it says one."""
    args = dict(args)
    name = args.get("name")
    if args.get("startCommand"):
        return args["startCommand"], name
    words = [args.get("qemuBinary", "qemu-kvm"), "-m", "384",
             "-netdev", "user,id=net0" + _more(args.get("netBackendArgs")),
             "-device", "virtio-net-pci,netdev=net0" + _more(args.get("netFrontendArgs")),
             "$QEMU_OPTS"]
    if args.get("hda"):
        disk, interface = os.path.abspath(args["hda"]), args.get("hdaInterface", "")
        if interface == "scsi":
            words += ["-drive", "id=hda,file=%s,werror=report,if=none" % disk, "-device", "scsi-hd,drive=hda"]
        else:
            words += ["-drive", "file=%s%s,werror=report" % (disk, ",if=" + interface if interface else "")]
    if args.get("cdrom"):
        words += ["-cdrom", args["cdrom"]]
    if args.get("usb"):
        words += ["-device", "usb-ehci", "-drive", "id=usbdisk,file=%s,if=none,readonly=on" % args["usb"],
                  "-device", "usb-storage,drive=usbdisk"]
    if args.get("bios"):
        words += ["-bios", args["bios"]]
    words.append(args.get("qemuFlags", ""))
    return " ".join(filter(None, words)), name


def _more(arguments):
    return "," + arguments if arguments else ""
