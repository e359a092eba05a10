/* Checkpoints: a safetensors file that any library opens. Tensors "weights.dense.kernel",
 * "slot0.dense.kernel" ..., with early stopping "best.dense.kernel", and "history" in doubles (a
 * resumed training compares losses, so they must come back exactly). The metadata key
 * "graft_checkpoint" holds a JSON document: whose training this is, and where it stands. */
#include "train/checkpoint_priv.h"

#include <assert.h>
#include <string.h>

#include "tensor/tensor.h"

#define DOCUMENT_KEY "graft_checkpoint"
enum { FORMAT = 1, HISTORY_COLUMNS = 5, MAX_BLOCKS = 4 };

/* The blocks of weights: all are laid out like the head's own. */
typedef struct weight_block {
    const char *name;
    float *params;
} weight_block;

static size_t list_blocks(const gf__training *training, weight_block blocks[MAX_BLOCKS])
{
    static const char *const slot_names[] = {"slot0", "slot1"};
    size_t n_floats, n = 0;
    blocks[n++] = (weight_block){"weights", gf__head_params(training->head, &n_floats)};
    for (size_t i = 0; i < gf__optimizer_n_slots(training->optimizer); i++)
        blocks[n++] = (weight_block){slot_names[i], gf__optimizer_slot(training->optimizer, i)};
    if (training->best_weights != NULL)
        blocks[n++] = (weight_block){"best", training->best_weights};
    return n;
}

/* One tensor of a block: the i-th layer's kernel (part 0) or bias (part 1). */
typedef struct weight_piece {
    char *name; /* "slot0.dense.kernel" */
    float *values;
    size_t shape[2], n_dims;
} weight_piece;

static weight_piece find_piece(gf_head *head, const weight_block *block, size_t i, size_t part)
{
    size_t n_floats;
    const float *params = gf__head_params(head, &n_floats);
    const gf_head_layer layer = gf_head_layer_at(head, i);
    const size_t n_inputs = i == 0 ? gf_head_n_features(head) : gf_head_layer_at(head, i - 1).units;
    if (part == 0)
        return (weight_piece){.name = gf__asprintf("%s.%s.kernel", block->name, layer.name),
                              .values = block->params + (gf_head_kernel(head, i) - params),
                              .shape = {n_inputs, layer.units},
                              .n_dims = 2};
    return (weight_piece){.name = gf__asprintf("%s.%s.bias", block->name, layer.name),
                          .values = block->params + (gf_head_bias(head, i) - params),
                          .shape = {layer.units},
                          .n_dims = 1};
}

static gf__json *describe_head(const gf_head *head)
{
    gf__json *json = gf__json_object();
    gf__json_set_int(json, "features", (int64_t)gf_head_n_features(head));
    for (size_t i = 0; i < gf_head_n_layers(head); i++) {
        const gf_head_layer layer = gf_head_layer_at(head, i);
        gf__json *row = gf__json_object();
        gf__json_set_int(row, "units", (int64_t)layer.units);
        gf__json_set_string(row, "activation", gf__head_activation_name(layer.activation));
        gf__json_set_number(row, "dropout", layer.dropout);
        gf__json_set(json, layer.name, row);
    }
    return json;
}

/* Whose training it is: what must agree before a checkpoint is gone on from. */
static gf__json *describe(const gf__training *training)
{
    gf__json *json = gf__json_object(), *data = gf__json_object();
    gf__json_set_string(data, "id", training->data_id);
    gf__json_set_int(data, "rows", (int64_t)training->n_train);
    gf__json_set_int(data, "views", (int64_t)training->n_views);
    gf__json_set_int(data, "validation rows", (int64_t)training->n_val);
    gf__json_set(json, "options", gf__train_options_to_json(training->options));
    gf__json_set(json, "data", data);
    gf__json_set(json, "head", describe_head(training->head));
    return json;
}

static gf_status write_document(const gf__training *training, gf__buffer *text, gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__json_set_int(document, "format", FORMAT);
    gf__json_set(document, "training", describe(training));
    gf__json_set_int(document, "steps", (int64_t)gf__optimizer_n_steps(training->optimizer));
    gf__json_set_int(document, "best_epoch", training->history->best_epoch);
    gf_status st = gf__json_status(document, err);
    if (st == GF_OK) {
        gf__json_write(document, false, text);
        st = gf__buffer_status(text, err);
    }
    gf__json_free(document);
    return st;
}

static gf_status make_history(const gf_history *history, gf_tensor **out, gf_error *err)
{
    const size_t shape[2] = {history->n_epochs, HISTORY_COLUMNS};
    const gf_status st = gf_tensor_new(GF_DTYPE_F64, shape, 2, out, err);
    if (st != GF_OK)
        return st;
    double *row = gf_tensor_mutable_data(*out);
    for (size_t i = 0; i < history->n_epochs; i++, row += HISTORY_COLUMNS) {
        const gf_epoch *epoch = &history->epochs[i];
        row[0] = epoch->loss;
        row[1] = epoch->accuracy;
        row[2] = epoch->val_loss;
        row[3] = epoch->val_accuracy;
        row[4] = epoch->time_s;
    }
    return GF_OK;
}

/* The tensors of a file being written: views of the state, and the history. */
typedef struct outgoing {
    gf_named_tensor *items;
    char **names;
    gf_tensor **tensors;
    size_t n, n_max;
} outgoing;

static gf_status collect(const gf__training *training, outgoing *out, gf_error *err)
{
    weight_block blocks[MAX_BLOCKS];
    const size_t n_blocks = list_blocks(training, blocks);
    const size_t n_layers = gf_head_n_layers(training->head);
    out->n_max = n_blocks * n_layers * 2 + 1;

    out->items = gf__calloc(out->n_max, sizeof *out->items);
    out->names = gf__calloc(out->n_max, sizeof *out->names);
    out->tensors = gf__calloc(out->n_max, sizeof *out->tensors);
    if (out->items == NULL || out->names == NULL || out->tensors == NULL)
        return gf__error_nomem(err, "a checkpoint", out->n_max * sizeof *out->items);
    gf_status st = make_history(training->history, &out->tensors[0], err);
    if (st != GF_OK)
        return st;
    out->items[out->n++] = (gf_named_tensor){"history", out->tensors[0]};
    for (size_t i = 0; i < out->n_max - 1; i++) {
        const weight_piece piece = find_piece(training->head, &blocks[i / (2 * n_layers)],
                                              i / 2 % n_layers, i % 2);
        out->names[out->n] = piece.name;
        if (piece.name == NULL)
            return gf__error_nomem(err, "a tensor's name", 0);
        st = gf__tensor_view(GF_DTYPE_F32, piece.shape, piece.n_dims, piece.values,
                             &out->tensors[out->n], err);
        if (st != GF_OK)
            return st;
        out->items[out->n] = (gf_named_tensor){piece.name, out->tensors[out->n]};
        out->n++;
    }
    return GF_OK;
}

static void drop_outgoing(outgoing *out)
{
    for (size_t i = 0; i < out->n_max; i++) {
        if (out->names != NULL)
            gf__free(out->names[i]);
        if (out->tensors != NULL)
            gf_tensor_free(out->tensors[i]);
    }
    gf__free(out->items);
    gf__free(out->names);
    gf__free(out->tensors);
}

gf_status gf__checkpoint_save(const char *path, const gf__training *training, gf_error *err)
{
    outgoing out = {0};
    gf__buffer text = {0};

    gf_status st = write_document(training, &text, err);
    if (st == GF_OK)
        st = collect(training, &out, err);
    if (st == GF_OK) {
        const gf_metadata metadata = {DOCUMENT_KEY, text.data};
        st = gf_safetensors_save(path, out.items, out.n, &metadata, 1, err);
    }
    drop_outgoing(&out);
    gf__buffer_free(&text);
    return st;
}

/* GF_EMISMATCH for the first member of ours that theirs lacks or has otherwise, named as
 * "options.epochs". */
static gf_status compare(const gf__json *ours, const gf__json *theirs, const char *name,
                         gf_error *err)
{
    if (gf__json_is_object(ours) && gf__json_is_object(theirs)) {
        gf_status st = GF_OK;
        for (size_t i = 0; i < gf__json_n_items(ours) && st == GF_OK; i++) {
            const char *key = gf__json_key_at(ours, i);
            char *path = name[0] != '\0' ? gf__asprintf("%s.%s", name, key) : gf__strdup(key);
            if (path == NULL)
                return gf__error_nomem(err, "a name", 0);
            st = compare(gf__json_value_at(ours, i), gf__json_find(theirs, key), path, err);
            gf__free(path);
        }
        if (st == GF_OK && gf__json_n_items(ours) != gf__json_n_items(theirs))
            st = gf_error_set(err, GF_EMISMATCH,
                              "%s: the checkpoint has %zu parts, this training %zu", name,
                              gf__json_n_items(theirs), gf__json_n_items(ours));
        return st;
    }

    gf__buffer wanted = {0}, found = {0};
    gf__json_write(ours, false, &wanted);
    if (theirs != NULL)
        gf__json_write(theirs, false, &found);
    else
        gf__buffer_puts(&found, "nothing");
    gf_status st = gf__buffer_status(&wanted, err);
    if (st == GF_OK)
        st = gf__buffer_status(&found, err);
    if (st == GF_OK && strcmp(wanted.data, found.data) != 0)
        st = gf_error_set(err, GF_EMISMATCH, "%s: the checkpoint has %.100s, this training %.100s",
                          name, found.data, wanted.data);
    gf__buffer_free(&wanted);
    gf__buffer_free(&found);
    return st;
}

static gf_status check_document(const gf__json *document, const gf__training *training,
                                gf_error *err)
{
    size_t format = 0;
    const gf__json *theirs = NULL;
    gf_status st = gf__json_get_size(document, "format", &format, err);
    if (st != GF_OK)
        return st;
    if (format != FORMAT)
        return gf_error_set(err, GF_EUNSUPPORTED, "checkpoint format %zu, this build reads %d",
                            format, FORMAT);
    st = gf__json_get_object(document, "training", &theirs, err);
    if (st != GF_OK)
        return st;
    gf__json *ours = describe(training);
    st = gf__json_status(ours, err);
    if (st == GF_OK)
        st = compare(ours, theirs, "", err);
    gf__json_free(ours);
    return st;
}

static gf_status find_tensor(const gf_safetensors *file, const char *name, gf_dtype dtype,
                             const size_t *shape, size_t n_dims, const void **data, gf_error *err)
{
    char got[GF__SHAPE_TEXT], want[GF__SHAPE_TEXT];
    const gf_tensor *tensor = gf_safetensors_find(file, name);
    if (tensor == NULL)
        return gf_error_set(err, GF_EFORMAT, "tensor \"%s\" is missing", name);
    if (gf_tensor_dtype(tensor) != dtype || gf_tensor_n_dims(tensor) != n_dims ||
        memcmp(gf_tensor_shape(tensor), shape, n_dims * sizeof *shape) != 0)
        return gf_error_set(err, GF_EFORMAT, "tensor \"%s\" has shape %s or type other than %s",
                            name,
                            gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), got),
                            gf__shape_text(shape, n_dims, want));
    *data = gf_tensor_data(tensor);
    return GF_OK;
}

/* Checks every block of weights, or (is_copying) copies them into the state. */
static gf_status read_blocks(const gf_safetensors *file, gf__training *training, bool is_copying,
                             gf_error *err)
{
    gf_status st = GF_OK;
    weight_block blocks[MAX_BLOCKS];
    const size_t n_blocks = list_blocks(training, blocks);
    const size_t n_layers = gf_head_n_layers(training->head);
    for (size_t i = 0; i < n_blocks * n_layers * 2 && st == GF_OK; i++) {
        const void *data = NULL;
        const weight_piece piece = find_piece(training->head, &blocks[i / (2 * n_layers)],
                                              i / 2 % n_layers, i % 2);
        if (piece.name == NULL)
            return gf__error_nomem(err, "a tensor's name", 0);
        st = find_tensor(file, piece.name, GF_DTYPE_F32, piece.shape, piece.n_dims, &data, err);
        if (st == GF_OK && is_copying)
            memcpy(piece.values, data,
                   piece.shape[0] * (piece.n_dims == 2 ? piece.shape[1] : 1) * sizeof(float));
        gf__free(piece.name);
    }
    return st;
}

/* Where the training stands; checked against each other, so that a damaged file cannot index out of
 * bounds. */
typedef struct place {
    size_t n_epochs, best_epoch, n_steps;
    const double *history;
} place;

static gf_status read_place(const gf_safetensors *file, const gf__json *document,
                            const gf__training *training, place *out, gf_error *err)
{
    const void *data = NULL;
    gf_status st = gf__json_get_size(document, "steps", &out->n_steps, err);
    if (st == GF_OK)
        st = gf__json_get_size(document, "best_epoch", &out->best_epoch, err);
    if (st != GF_OK)
        return st;
    const gf_tensor *history = gf_safetensors_find(file, "history");
    out->n_epochs = history != NULL && gf_tensor_n_dims(history) == 2 ? gf_tensor_shape(history)[0]
                                                                      : 0;
    const size_t shape[2] = {out->n_epochs, HISTORY_COLUMNS};
    st = find_tensor(file, "history", GF_DTYPE_F64, shape, 2, &data, err);
    if (st != GF_OK)
        return st;
    if (out->n_epochs == 0 || out->n_epochs > (size_t)training->options->n_epochs ||
        out->best_epoch == 0 || out->best_epoch > out->n_epochs)
        return gf_error_set(err, GF_EFORMAT, "best epoch %zu of %zu epochs, where %d are asked for",
                            out->best_epoch, out->n_epochs, training->options->n_epochs);
    out->history = data;
    return GF_OK;
}

static void apply_place(gf__training *training, const place *at)
{
    gf_history *history = training->history;
    gf__optimizer_set_n_steps(training->optimizer, at->n_steps);
    history->n_epochs = at->n_epochs;
    history->best_epoch = (int)at->best_epoch;
    for (size_t i = 0; i < at->n_epochs; i++) {
        const double *row = at->history + i * HISTORY_COLUMNS;
        history->epochs[i] = (gf_epoch){.number = (int)i + 1,
                                        .loss = row[0],
                                        .accuracy = row[1],
                                        .val_loss = row[2],
                                        .val_accuracy = row[3],
                                        .time_s = row[4]};
    }
}

gf_status gf__checkpoint_load(const char *path, gf__training *training, gf_error *err)
{
    gf_safetensors *file = NULL;
    gf__json *document = NULL;
    place at = {0};

    gf_status st = gf_safetensors_open(path, &file, err);
    if (st != GF_OK)
        return st;
    const char *text = gf_safetensors_metadata(file, DOCUMENT_KEY);
    if (text == NULL)
        st = gf_error_set(err, GF_EFORMAT, "no \"%s\" in its metadata: this is no checkpoint",
                          DOCUMENT_KEY);
    if (st == GF_OK)
        st = gf__json_parse(text, strlen(text), &document, err);
    if (st == GF_OK)
        st = check_document(document, training, err);
    if (st == GF_OK)
        st = read_place(file, document, training, &at, err);
    if (st == GF_OK)
        st = read_blocks(file, training, false, err);
    if (st == GF_OK)
        st = read_blocks(file, training, true, err);
    if (st == GF_OK)
        apply_place(training, &at);
    else
        gf__error_prefix(err, "%s", path);
    gf__json_free(document);
    gf_safetensors_close(file);
    return st;
}
