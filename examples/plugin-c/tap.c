/*
 * A reporter in C: writes what came of a run as TAP, the Test Anything Protocol, to `result.tap` in the result
 * directory. Each subtest is a line, and the run itself is the last.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "innkeeper-plugin.h"

/* ---- JSON: just enough to find a member of an object. Innkeeper writes it, so that it is well formed. ---- */

typedef struct {
    const char *at, *end;
} text;

static const char *after_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at < end ? at + 1 : end;
}

/* Behind the value that begins here: at the comma or bracket that follows it. */
static const char *after_value(const char *at, const char *end) {
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = after_string(at, end);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}' || *at == ']'))
            break;
        if (*at == '{' || *at == '[')
            depth++;
        if (*at == '}' || *at == ']')
            depth--;
        at++;
    }
    return at;
}

/* The value of a member, or an empty text. */
static text member(text object, const char *name) {
    const char *at = object.at, *end = object.end;
    size_t length = strlen(name);
    if (at < end && *at == '{')
        at++;
    while (at < end && *at == '"') {
        const char *key = at + 1;
        at = after_string(at, end);
        size_t key_length = (size_t)(at - key) - 1;
        text value = {at + 1, after_value(at + 1, end)};
        if (key_length == length && memcmp(key, name, length) == 0)
            return value;
        at = value.end < end && *value.end == ',' ? value.end + 1 : end;
    }
    return (text){end, end};
}

static bool is(text value, const char *word) {
    return (size_t)(value.end - value.at) == strlen(word) && memcmp(value.at, word, strlen(word)) == 0;
}

/* ---- The report ---- */

typedef struct subtest {
    unsigned long id;
    char *name;
    struct subtest *outer;
} subtest;

typedef struct {
    FILE *file;
    subtest *open;
    char *test;
    unsigned count;
    bool ended;
} tap;

/* The inside of a string as it stands in JSON: one line, whatever a guest has printed. */
static char *inside(text string) {
    if (string.end - string.at < 2)
        return strdup("");
    return strndup(string.at + 1, (size_t)(string.end - string.at) - 2);
}

/* A name in a line of TAP, where # would begin a directive. */
static void put_name(FILE *file, const char *name) {
    for (; *name; name++) {
        if (*name == '#')
            fputc('\\', file);
        fputc(*name, file);
    }
}

static void put_line(tap *tap, bool ok, const char *name, text why) {
    fprintf(tap->file, "%s %u - ", ok ? "ok" : "not ok", ++tap->count);
    put_name(tap->file, name);
    fputc('\n', tap->file);
    if (!ok && why.end > why.at)
        fprintf(tap->file, "  ---\n  message: %.*s\n  ...\n", (int)(why.end - why.at), why.at);
}

static innkeeper_status fail(innkeeper_buf *message, const char *why) {
    /* Of static storage: there is nothing to free. */
    message->data = (uint8_t *)why;
    message->length = strlen(why);
    return INNKEEPER_STATUS_FAILED;
}

static innkeeper_status open_tap(innkeeper_str settings, innkeeper_str directory, void **out,
                                 innkeeper_buf *message) {
    text all = {(const char *)settings.data, (const char *)settings.data + settings.length};
    char *name = inside(member(all, "file"));
    tap *tap = calloc(1, sizeof *tap);
    char *path = tap && name ? malloc(directory.length + strlen(name) + sizeof "/result.tap") : NULL;
    if (path) {
        sprintf(path, "%.*s/%s", (int)directory.length, (const char *)directory.data, *name ? name : "result.tap");
        tap->file = fopen(path, "w");
    }
    free(path);
    free(name);
    if (!tap || !tap->file) {
        free(tap);
        return fail(message, "the TAP file cannot be made (see `file` in the plugin's settings)");
    }
    fputs("TAP version 13\n", tap->file);
    *out = tap;
    return INNKEEPER_STATUS_OK;
}

static innkeeper_status record(void *reporter, innkeeper_str line, innkeeper_buf *message) {
    tap *tap = reporter;
    text all = {(const char *)line.data, (const char *)line.data + line.length};
    text event = member(all, "event"), type = member(event, "type");
    if (is(type, "\"run_started\"")) {
        tap->test = inside(member(event, "test"));
    } else if (is(type, "\"scope_started\"") && is(member(event, "kind"), "\"subtest\"")) {
        subtest *one = calloc(1, sizeof *one);
        if (!one)
            return fail(message, "out of memory");
        *one = (subtest){strtoul(member(event, "id").at, NULL, 10), inside(member(event, "text")), tap->open};
        tap->open = one;
    } else if (is(type, "\"scope_ended\"")) {
        unsigned long id = strtoul(member(event, "id").at, NULL, 10);
        for (subtest **link = &tap->open; *link; link = &(*link)->outer) {
            subtest *one = *link;
            if (one->id != id)
                continue;
            text error = member(event, "error");
            put_line(tap, error.at == error.end, one->name ? one->name : "", error);
            *link = one->outer;
            free(one->name);
            free(one);
            break;
        }
    } else if (is(type, "\"run_ended\"")) {
        bool passed = is(member(event, "outcome"), "\"passed\"");
        put_line(tap, passed, tap->test ? tap->test : "", member(event, "message"));
        tap->ended = true;
    }
    return ferror(tap->file) ? fail(message, "the TAP file cannot be written") : INNKEEPER_STATUS_OK;
}

static innkeeper_status finish(void *reporter, innkeeper_buf *message) {
    tap *tap = reporter;
    if (tap->ended)
        fprintf(tap->file, "1..%u\n", tap->count);
    else
        fputs("Bail out! The run has no end.\n", tap->file);
    return fflush(tap->file) ? fail(message, "the TAP file cannot be written") : INNKEEPER_STATUS_OK;
}

static innkeeper_status close_tap(void *reporter) {
    tap *tap = reporter;
    while (tap->open) {
        subtest *one = tap->open;
        tap->open = one->outer;
        free(one->name);
        free(one);
    }
    fclose(tap->file);
    free(tap->test);
    free(tap);
    return INNKEEPER_STATUS_OK;
}

static const innkeeper_reporter_table reporter = {
    .size = sizeof reporter,
    .name = INNKEEPER_STR_OF("tap"),
    .open = open_tap,
    .record = record,
    .finish = finish,
    .close = close_tap,
};

const innkeeper_plugin_header INNKEEPER_PLUGIN = {
    .magic = INNKEEPER_MAGIC,
    .abi_major = INNKEEPER_ABI_MAJOR,
    .abi_minor = INNKEEPER_ABI_MINOR,
    .size = sizeof(innkeeper_plugin_header),
    .name = INNKEEPER_STR_OF("tap"),
    .version = INNKEEPER_STR_OF("0.1.0"),
    .reporter = &reporter,
};
