/*
 * The contract between innkeeper and its plugins, for C. Made from the source of plugin-abi: not to be edited.
 *
 * A plugin is a shared library that exports one static of type innkeeper_plugin_header, named INNKEEPER_PLUGIN:
 *
 *     const innkeeper_plugin_header INNKEEPER_PLUGIN = {
 *         .magic = INNKEEPER_MAGIC,
 *         .abi_major = INNKEEPER_ABI_MAJOR,
 *         .abi_minor = INNKEEPER_ABI_MINOR,
 *         .size = sizeof(innkeeper_plugin_header),
 *         .name = INNKEEPER_STR_OF("mine"),
 *         .version = INNKEEPER_STR_OF("0.1.0"),
 *         .reporter = &reporter,
 *     };
 */
#ifndef INNKEEPER_PLUGIN_H
#define INNKEEPER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* A literal as an innkeeper_str. */
#define INNKEEPER_STR_OF(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

typedef struct innkeeper_str innkeeper_str;
typedef struct innkeeper_buf innkeeper_buf;
typedef struct innkeeper_backend_table innkeeper_backend_table;
typedef struct innkeeper_screen_table innkeeper_screen_table;
typedef struct innkeeper_keyboard_table innkeeper_keyboard_table;
typedef struct innkeeper_monitor_table innkeeper_monitor_table;
typedef struct innkeeper_power_table innkeeper_power_table;
typedef struct innkeeper_pointer_table innkeeper_pointer_table;
typedef struct innkeeper_log_table innkeeper_log_table;
typedef struct innkeeper_ocr_table innkeeper_ocr_table;
typedef struct innkeeper_frame innkeeper_frame;
typedef struct innkeeper_reporter_table innkeeper_reporter_table;
typedef struct innkeeper_plugin_header innkeeper_plugin_header;

/*
 * What came of a call. Any other number is taken for `FAILED`.
 */
typedef int32_t innkeeper_status;

/*
 * All went well.
 */
#define INNKEEPER_STATUS_OK 0

/*
 * It did not; the message says why.
 */
#define INNKEEPER_STATUS_FAILED 1

/*
 * The plugin has a bug, and must not be called again. The message says what happened.
 */
#define INNKEEPER_STATUS_PANICKED 2

/*
 * It did not happen within the time that was given. The message says what was waited for.
 */
#define INNKEEPER_STATUS_TIMED_OUT 3

/*
 * The call makes no sense. The message says what is possible.
 */
#define INNKEEPER_STATUS_USAGE 4

/*
 * The description of the machine, or a file that it names, is wrong. The message's first line says what is
 * wrong, the second what to do about it.
 */
#define INNKEEPER_STATUS_REFUSED 5

/*
 * This host cannot do it. The message is made as for `REFUSED`.
 */
#define INNKEEPER_STATUS_HOST 6

/*
 * The machine has ended. The message is JSON, as from `wait_exit`.
 */
#define INNKEEPER_STATUS_EXITED 7

/*
 * A text in UTF-8, borrowed for the time of the call. Not terminated by a zero.
 */
struct innkeeper_str {

    /*
     * The first byte; anything when `length` is zero.
     */
    const uint8_t *data;

    /*
     * How many bytes there are.
     */
    size_t length;
};

/*
 * Bytes that one side made and the other reads. The caller hands in an empty one; the callee may fill it; the
 * caller then calls `free` if that is not null, once.
 */
struct innkeeper_buf {

    /*
     * The first byte; anything when `length` is zero.
     */
    uint8_t *data;

    /*
     * How many bytes there are.
     */
    size_t length;

    /*
     * Gives the bytes back to whoever made them. Null when nothing has to be given back.
     */
    void (*free)(uint8_t *data, size_t length);
};

/*
 * For `connect`: the serial console, both ways.
 */
#define INNKEEPER_PORT_CONSOLE 0

/*
 * For `connect`: the guest's root shell.
 */
#define INNKEEPER_PORT_SHELL 1

/*
 * For `connect`: the port for the contents of files. A machine may have none: then the call fails.
 */
#define INNKEEPER_PORT_BULK 2

/*
 * For `line` of the log: what a user wants to read.
 */
#define INNKEEPER_LEVEL_INFO 0

/*
 * For `line` of the log: something odd that did not stop the machine.
 */
#define INNKEEPER_LEVEL_WARNING 1

/*
 * A hypervisor. All functions but the facets must be there.
 *
 * Threads: `open` and `close` are called one at a time. All others may be called from any thread, and several at
 * once, also for one machine: `destroy` comes while `wait_exit` waits. `release` is the last call for a machine.
 *
 * Time: `within_ms` is what a call may take, in milliseconds; the others are given half a minute. A call that
 * takes much longer counts as hanging, and the plugin is not called again.
 */
struct innkeeper_backend_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * The word that manifests use.
     */
    innkeeper_str name;

    /*
     * Makes the backend. `settings`: the plugin's settings as JSON, an object or `null`. `*backend` is handed to
     * all other calls, and may stay null.
     */
    innkeeper_status (*open)(innkeeper_str settings, void **backend, innkeeper_buf *message);

    /*
     * Ends the backend. No machine of it is there any more.
     */
    innkeeper_status (*close)(void *backend);

    /*
     * Says why this host cannot run the backend, if it cannot: `HOST`.
     */
    innkeeper_status (*probe)(void *backend, uint64_t within_ms, innkeeper_buf *message);

    /*
     * Checks a description before anything is started: `REFUSED` for files that are not there and options that
     * make no sense. `spec`: JSON, see docs/plugins.md.
     */
    innkeeper_status (*check)(void *backend, innkeeper_str spec, innkeeper_buf *message);

    /*
     * Starts a machine and returns once it can be controlled. `log` is valid until `release` returns, or until
     * this call returns if that is not with `OK`. `*machine` is handed to the calls below. `about`: JSON, an object
     * that may name the hypervisor's `process_id`, or nothing.
     */
    innkeeper_status (*launch)(void *backend, innkeeper_str spec, const innkeeper_log_table *log, uint64_t within_ms, void **machine, innkeeper_buf *about, innkeeper_buf *message);

    /*
     * Opens a byte stream into the guest: one of the ports, each once in a launch. `*stream` is a connected
     * stream socket, such as one end of a socketpair, that belongs to the caller from then on.
     */
    innkeeper_status (*connect)(void *machine, uint32_t port, uint64_t within_ms, int *stream, innkeeper_buf *message);

    /*
     * Asks the guest to power off, as the power button does. Does not wait for it to do so.
     */
    innkeeper_status (*request_shutdown)(void *machine, uint64_t within_ms, innkeeper_buf *message);

    /*
     * Waits until the machine is gone, however that came about: `OK` and JSON in `exit`, or `TIMED_OUT`. Called
     * again and again, with a second at a time.
     */
    innkeeper_status (*wait_exit)(void *machine, uint64_t within_ms, innkeeper_buf *exit, innkeeper_buf *message);

    /*
     * Ends the machine now, and returns when nothing of it is left. A machine that is gone stays so.
     */
    innkeeper_status (*destroy)(void *machine);

    /*
     * Forgets the machine, which is gone. Nobody holds `machine` any more.
     */
    innkeeper_status (*release)(void *machine);

    /*
     * Facet: pictures of the guest's display, or null.
     */
    const innkeeper_screen_table *screen;

    /*
     * Facet: keys pressed for the guest, or null.
     */
    const innkeeper_keyboard_table *keyboard;

    /*
     * Facet: the hypervisor's own command line, or null.
     */
    const innkeeper_monitor_table *monitor;

    /*
     * Facet: reset without the guest's consent, or null.
     */
    const innkeeper_power_table *power;

    /*
     * Facet: a pointer that is put anywhere on the guest's display, or null. Since 1.1.
     */
    const innkeeper_pointer_table *pointer;
};

/*
 * Facet: pictures of the guest's display.
 */
struct innkeeper_screen_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * Gives the current frame as a PNG.
     */
    innkeeper_status (*capture)(void *machine, uint64_t within_ms, innkeeper_buf *png, innkeeper_buf *message);
};

/*
 * Facet: keys pressed for the guest.
 */
struct innkeeper_keyboard_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * Presses the keys in order, holds them for `hold_ms`, and releases them in reverse order. `chord`: JSON, a
     * list of `{"name": "ctrl"}`, as QEMU names keys, and `{"code": 30}`, by their number in the IBM PC set 1.
     */
    innkeeper_status (*press)(void *machine, innkeeper_str chord, uint64_t hold_ms, uint64_t within_ms, innkeeper_buf *message);
};

/*
 * Facet: the hypervisor's own command line.
 */
struct innkeeper_monitor_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * Runs one line and gives what it printed.
     */
    innkeeper_status (*command)(void *machine, innkeeper_str line, uint64_t within_ms, innkeeper_buf *answer, innkeeper_buf *message);
};

/*
 * Facet: reset without the guest's consent.
 */
struct innkeeper_power_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * Resets the machine as the reset button does. Without `allow_reboot` in its description that ends it.
     */
    innkeeper_status (*reset)(void *machine, uint64_t within_ms, innkeeper_buf *message);
};

/*
 * Facet: a pointer that is put anywhere on the guest's display. Since 1.1.
 */
struct innkeeper_pointer_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * Does one thing with it. `act`: JSON, one of `{"move": {"x": 0.5, "y": 1.0}}`, from 0 at the left and at the top
     * of the display to 1 at the right and at the bottom; `{"press": "left"}` and `{"release": "left"}`, also of
     * `middle` and `right`; `{"scroll": -2}`, notches of the wheel down, or up when negative.
     */
    innkeeper_status (*act)(void *machine, innkeeper_str act, uint64_t within_ms, innkeeper_buf *message);
};

/*
 * Where a backend says what happens to one machine. Made by innkeeper; may be called from any thread.
 */
struct innkeeper_log_table {

    /*
     * The size of this struct in innkeeper's build, in bytes.
     */
    size_t size;

    /*
     * To be handed to all calls below.
     */
    void *context;

    /*
     * A line for the user: `level` is `LEVEL_INFO` or `LEVEL_WARNING`.
     */
    void (*line)(void *context, uint32_t level, innkeeper_str text);

    /*
     * Processes that must die with innkeeper: the group is killed when that is gone, kill -9 included. To be said
     * right after their start.
     */
    void (*guard_group)(void *context, uint32_t group);

    /*
     * The group has ended; its number may belong to somebody else from now on.
     */
    void (*release_group)(void *context, uint32_t group);

    /*
     * The guest starts anew. To be said before its new shell greets.
     */
    void (*guest_reset)(void *context);
};

/*
 * An engine that reads the text in a picture. All functions must be there.
 *
 * Threads: one call at a time, not always from the same thread.
 */
struct innkeeper_ocr_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * The word that manifests use.
     */
    innkeeper_str name;

    /*
     * Makes the engine. `settings`: the plugin's settings as JSON, an object or `null`. `*engine` is handed to all
     * other calls, and may stay null.
     */
    innkeeper_status (*open)(innkeeper_str settings, void **engine, innkeeper_buf *message);

    /*
     * Reads a frame, which is borrowed for the call. `reading`: JSON, see docs/plugins.md.
     */
    innkeeper_status (*read)(void *engine, const innkeeper_frame *frame, uint64_t within_ms, innkeeper_buf *reading, innkeeper_buf *message);

    /*
     * Ends the engine.
     */
    innkeeper_status (*close)(void *engine);
};

/*
 * A picture: rows from top to bottom, without gaps, three bytes a pixel: red, green, blue.
 */
struct innkeeper_frame {

    /*
     * Pixels in a row.
     */
    uint32_t width;

    /*
     * Rows.
     */
    uint32_t height;

    /*
     * The first byte of `width * height * 3`.
     */
    const uint8_t *rgb;
};

/*
 * Makes something of the events of a run. All functions must be there.
 *
 * Threads: one call at a time, in the order of the events, not always from the same thread.
 */
struct innkeeper_reporter_table {

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * What the report is called.
     */
    innkeeper_str name;

    /*
     * A run begins. `settings`: the plugin's settings as JSON, an object or `null`. `directory`: the result
     * directory, an absolute path. `*reporter` is handed to all other calls, and may stay null.
     */
    innkeeper_status (*open)(innkeeper_str settings, innkeeper_str directory, void **reporter, innkeeper_buf *message);

    /*
     * Takes one event: a line of events.jsonl without its end, see docs/results.md. A reporter that fails is asked
     * no more.
     */
    innkeeper_status (*record)(void *reporter, innkeeper_str record, innkeeper_buf *message);

    /*
     * The run has ended, and no event comes after.
     */
    innkeeper_status (*finish)(void *reporter, innkeeper_buf *message);

    /*
     * Forgets the run, whether it was finished or not.
     */
    innkeeper_status (*close)(void *reporter);
};

/*
 * The name of the static that a plugin exports.
 */
#define INNKEEPER_SYMBOL "INNKEEPER_PLUGIN"

/*
 * What the header begins with: what has the symbol but not this is no plugin.
 */
#define INNKEEPER_MAGIC {'i', 'n', 'n', 'k', 'e', 'e', 'p', 'r'}

/*
 * Plugin and program must agree on it.
 */
#define INNKEEPER_ABI_MAJOR 1

/*
 * Counts what was appended to the tables. Any two of the same major understand each other.
 */
#define INNKEEPER_ABI_MINOR 1

/*
 * What a plugin exports as a static named `INNKEEPER_PLUGIN`.
 */
struct innkeeper_plugin_header {

    /*
     * `MAGIC`.
     */
    uint8_t magic[8];

    /*
     * `ABI_MAJOR` of the plugin's build.
     */
    uint32_t abi_major;

    /*
     * `ABI_MINOR` of the plugin's build.
     */
    uint32_t abi_minor;

    /*
     * The size of this struct in the plugin's build, in bytes.
     */
    size_t size;

    /*
     * What the plugin is called: letters, digits, `-` and `_`.
     */
    innkeeper_str name;

    /*
     * The plugin's own version, for people.
     */
    innkeeper_str version;

    /*
     * A hypervisor, or null.
     */
    const innkeeper_backend_table *backend;

    /*
     * An OCR engine, or null.
     */
    const innkeeper_ocr_table *ocr;

    /*
     * A reporter, or null.
     */
    const innkeeper_reporter_table *reporter;
};

#endif
