/* registry/tokens.c: who may ask a server on this home for what.
 *
 * A secret is graft_ID_RANDOM: ID is public (the token's name, 12 hex digits) and finds the row,
 * RANDOM is 32 bytes of the system's generator in base64url. The row holds the SHA-256 of the whole
 * secret: with so many random bits a slow hash would add nothing, and every request is checked.
 * Revoking deletes the row. Every check reads the database, so what another process revoked is seen
 * at once. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

#define N_ID_CHARS     12
#define N_RANDOM_BYTES 32
#define N_RANDOM_CHARS 43 /* base64url without padding */
#define PREFIX         "graft_"
#define N_PREFIX       (sizeof PREFIX - 1)
#define N_SECRET       (N_PREFIX + N_ID_CHARS + 1 + N_RANDOM_CHARS)

typedef struct new_secret {
    char id[N_ID_CHARS + 1];
    char text[N_SECRET + 1];
    char sha256[GF__SHA256_HEX];
} new_secret;

static gf_status make_secret(new_secret *out, gf_error *err)
{
    uint8_t id[N_ID_CHARS / 2], random[N_RANDOM_BYTES];
    gf__buffer base64 = {0};
    gf_status st = gf__random_bytes(id, sizeof id, err);
    if (st == GF_OK)
        st = gf__random_bytes(random, sizeof random, err);
    gf__buffer_base64(&base64, random, sizeof random);
    if (st == GF_OK)
        st = gf__buffer_status(&base64, err);
    if (st == GF_OK) {
        for (size_t i = 0; i < sizeof id; i++)
            snprintf(out->id + 2 * i, 3, "%02x", id[i]);
        for (size_t i = 0; i < N_RANDOM_CHARS; i++) {
            if (base64.data[i] == '+')
                base64.data[i] = '-';
            else if (base64.data[i] == '/')
                base64.data[i] = '_';
        }
        snprintf(out->text, sizeof out->text, PREFIX "%s_%.*s", out->id, N_RANDOM_CHARS,
                 base64.data);
        gf__sha256_hex(out->text, N_SECRET, out->sha256);
        if (out->sha256[0] == '\0')
            st = gf__error_nomem(err, "a checksum", 0);
    }
    gf__buffer_free(&base64);
    return st;
}

/* ---- what a create asks for ---- */

typedef struct wish {
    const char *role, *project, *description; /* borrowed from the fields; NULL: none */
    int64_t expire_time;                      /* 0: never */
} wish;

static gf_status read_expiry(const char *text, int64_t *out, gf_error *err)
{
    *out = 0;
    if (text == NULL)
        return GF_OK;
    if (!gf__time_parse(text, out))
        return gf_error_set(err, GF_EINVAL,
                            "expireTime: \"%s\", expected a time like 2030-12-31T23:59:59Z", text);
    if (*out <= gf__now_ms())
        return gf_error_set(err, GF_EINVAL, "expireTime: %s is over already", text);
    return GF_OK;
}

static gf_status read_wish(const gf__json *fields, wish *out, gf_error *err)
{
    static const char *const roles[] = {"admin", "deploy", "predict"};
    *out = (wish){.role = gf__json_string(gf__json_find(fields, "role"), ""),
                  .project = gf__json_string(gf__json_find(fields, "project"), NULL),
                  .description = gf__json_string(gf__json_find(fields, "description"), NULL)};
    bool is_known = false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        is_known = is_known || strcmp(out->role, roles[i]) == 0;
    if (!is_known)
        return gf_error_set(err, GF_EINVAL, "role: \"%s\", expected admin, deploy or predict",
                            out->role);
    if (out->project != NULL && strcmp(out->role, "admin") == 0)
        return gf_error_set(err, GF_EINVAL,
                            "project: an admin makes tokens for all projects; use the role deploy "
                            "for one project");
    gf_status st = out->project != NULL ? gf__registry_check_project(out->project, err) : GF_OK;
    if (st == GF_OK)
        st = read_expiry(gf__json_string(gf__json_find(fields, "expireTime"), NULL),
                         &out->expire_time, err);
    return st;
}

/* ---- rows ---- */

typedef struct token_row { /* texts are borrowed from the statement */
    const char *id, *sha256, *role, *project, *description;
    int64_t create_time, expire_time; /* the second 0: never */
} token_row;

/* The row under the columns of TOKEN_COLUMNS. */
static gf_status read_row(gf__rows *rows, token_row *row, gf_error *err)
{
    *row = (token_row){.id = gf__rows_text(rows, 0),
                       .sha256 = gf__rows_text(rows, 1),
                       .role = gf__rows_text(rows, 2),
                       .project = gf__rows_text(rows, 3),
                       .description = gf__rows_text(rows, 4),
                       .create_time = gf__rows_number(rows, 5),
                       .expire_time = gf__rows_number(rows, 6)};
    /* These columns are NOT NULL. */
    return row->id != NULL && row->sha256 != NULL && row->role != NULL
               ? GF_OK
               : gf__error_nomem(err, "a row", 0);
}

/* New, with failures inside. secret NULL: not shown. */
static gf__json *row_document(const token_row *row, const char *secret)
{
    gf__json *document = gf__json_object();
    char *name = gf__asprintf("tokens/%s", row->id);
    gf__json_set(document, "name", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    if (secret != NULL)
        gf__json_set_string(document, "token", secret);
    gf__json_set_string(document, "role", row->role);
    if (row->project != NULL)
        gf__json_set_string(document, "project", row->project);
    if (row->description != NULL)
        gf__json_set_string(document, "description", row->description);
    gf__set_time(document, "createTime", row->create_time);
    if (row->expire_time != 0)
        gf__set_time(document, "expireTime", row->expire_time);
    return document;
}

static gf_status insert_token(gf_registry *registry, const new_secret *made, const wish *asked,
                              char **text, gf_error *err)
{
    const token_row row = {.id = made->id,
                           .role = asked->role,
                           .project = asked->project,
                           .description = asked->description,
                           .create_time = gf__now_ms(),
                           .expire_time = asked->expire_time};
    gf_status st = gf__db_run(
        registry->db, GF__SQL_TOKEN_ADD,
        VALUES(gf__text(made->id), gf__text(made->sha256), gf__text(asked->role),
               gf__text(asked->project), gf__text(asked->description), gf__number(row.create_time),
               asked->expire_time != 0 ? gf__number(asked->expire_time) : gf__text(NULL)),
        NULL, err);
    if (st != GF_OK)
        return st;
    gf__json *document = row_document(&row, made->text);
    st = gf__json_text(document, text, err);
    gf__json_free(document);
    return st;
}

gf_status gf_registry_create_token(gf_registry *registry, const char *body, char **token,
                                   gf_error *err)
{
    gf__json *fields = NULL;
    char *text = NULL;
    wish asked;
    new_secret made = {0};
    *token = NULL;
    gf_status st = gf__fields_read(body, GF__KIND_TOKEN, &fields, err);
    if (st == GF_OK)
        st = read_wish(fields, &asked, err);
    if (st == GF_OK)
        st = make_secret(&made, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        goto done;
    st = insert_token(registry, &made, &asked, &text, err);
    st = gf__leave_with(registry, st, text, token, err);
done:
    gf__json_free(fields);
    return st;
}

static gf_status collect_tokens(gf_registry *registry, gf__json *document, gf_error *err)
{
    gf__rows *rows = NULL;
    gf__json *tokens = gf__json_array();
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_TOKEN_LIST, NULL, 0, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    while (st == GF_OK && has_row) {
        token_row row;
        st = read_row(rows, &row, err);
        if (st == GF_OK)
            gf__json_append(tokens, row_document(&row, NULL));
        if (st == GF_OK)
            st = gf__rows_next(rows, &has_row, err);
    }
    gf__rows_end(rows);
    if (gf__json_n_items(tokens) > 0)
        gf__json_set(document, "tokens", tokens);
    else
        gf__json_free(tokens);
    return st;
}

gf_status gf_registry_list_tokens(gf_registry *registry, char **list, gf_error *err)
{
    *list = NULL;
    gf_status st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    gf__json *document = gf__json_object();
    st = gf__leave(registry, collect_tokens(registry, document, err), err);
    if (st == GF_OK)
        st = gf__json_text(document, list, err);
    gf__json_free(document);
    return st;
}

gf_status gf_registry_revoke_token(gf_registry *registry, const char *name, gf_error *err)
{
    size_t n_changed = 0;
    const char *id = strncmp(name, "tokens/", 7) == 0 ? name + 7 : "";
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    st = gf__db_run(registry->db, GF__SQL_TOKEN_DELETE, VALUES(gf__text(id)), &n_changed, err);
    if (st == GF_OK && n_changed == 0)
        st = gf_error_set(err, GF_ENOTFOUND, "%s: no such token, expected tokens/ID", name);
    return gf__leave(registry, st, err);
}

/* ---- checking ---- */

/* The public part of a secret; false where it has not the form of one. */
static bool take_id(const char *text, char id[N_ID_CHARS + 1])
{
    if (strncmp(text, PREFIX, N_PREFIX) != 0 || strlen(text) != N_SECRET ||
        text[N_PREFIX + N_ID_CHARS] != '_')
        return false;
    memcpy(id, text + N_PREFIX, N_ID_CHARS);
    id[N_ID_CHARS] = '\0';
    return true;
}

static gf_status refuse(gf_error *err)
{
    return gf_error_set(err, GF_EAUTH,
                        "this token is unknown, expired or revoked; `graft token create` makes "
                        "another");
}

static gf_status find_secret(gf_registry *registry, const char *id, const char *sha256,
                             gf__json **document, gf_error *err)
{
    gf__rows *rows = NULL;
    token_row row;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_TOKEN_FIND, VALUES(gf__text(id)), &rows,
                                 err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK && has_row)
        st = read_row(rows, &row, err);
    if (st == GF_OK && has_row)
        has_row = strlen(row.sha256) == GF__SHA256_HEX - 1 &&
                  gf__constant_time_equal(row.sha256, sha256, GF__SHA256_HEX - 1) &&
                  (row.expire_time == 0 || row.expire_time > gf__now_ms());
    if (st == GF_OK)
        st = has_row ? GF_OK : refuse(err);
    if (st == GF_OK)
        *document = row_document(&row, NULL);
    gf__rows_end(rows);
    return st;
}

gf_status gf_registry_check_token(gf_registry *registry, const char *secret, char **token,
                                  gf_error *err)
{
    char id[N_ID_CHARS + 1], sha256[GF__SHA256_HEX];
    gf__json *document = NULL;
    *token = NULL;
    if (!take_id(secret, id))
        return refuse(err);
    gf__sha256_hex(secret, N_SECRET, sha256);
    if (sha256[0] == '\0')
        return gf__error_nomem(err, "a checksum", 0);
    gf_status st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    st = gf__leave(registry, find_secret(registry, id, sha256, &document, err), err);
    if (st == GF_OK)
        st = gf__json_text(document, token, err);
    gf__json_free(document);
    return st;
}
