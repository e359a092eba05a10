/* fuzz_keras_v3.c: any bytes as a .keras archive, and as the config.json inside one; what is done with a
 * network that comes out: the names of its groups, and properties of its metadata. The HDF5 file in it is the
 * business of fuzz_hdf5. */
#include <string.h>

#include "fuzz.h"
#include "zoo/keras/keras_priv.h"

/* A file without tensors: every layer with weights is missed by its group's name. */
static void assign_nothing(const gf__config_notes *notes, gf_graph *graph)
{
    static const char text[] = "{\"__metadata__\":{\"root\":\"_layer_checkpoint_dependencies\"}}";
    char bytes[8 + sizeof text - 1] = {(char)(sizeof text - 1)};
    gf_safetensors *file = NULL;
    gf_error err;
    memcpy(bytes + 8, text, sizeof text - 1);
    if (gf_safetensors_parse(bytes, sizeof bytes, &file, &err) == GF_OK)
        (void)gf__keras_assign(file, notes, graph, &err);
    gf_safetensors_close(file);
}

static void read_archive(const uint8_t *bytes, size_t n_bytes)
{
    gf__keras_archive archive = {0};
    gf__checkpoint checkpoint = {0};
    gf_error err;
    if (gf__keras_archive_open(bytes, n_bytes, &archive, &err) == GF_OK) {
        assign_nothing(&archive.notes, archive.graph);
        checkpoint.graph = archive.graph;
        archive.graph = NULL;
        gf__checkpoint_scale_input(&archive.notes, &checkpoint);
        (void)gf__checkpoint_read_properties(gf__json_find(archive.metadata, "graft"), &checkpoint,
                                             &err);
    }
    gf__checkpoint_free(&checkpoint);
    gf__keras_archive_close(&archive);
}

static void read_config(const uint8_t *bytes, size_t n_bytes)
{
    gf__json *model = NULL;
    gf_graph *graph = NULL;
    gf__config_notes notes = {0};
    gf_error err;
    if (gf__json_parse((const char *)bytes, n_bytes, &model, &err) == GF_OK &&
        gf__keras_check_dialect(model, &err) == GF_OK &&
        gf__graph_from_noted_config(model, &notes, &graph, &err) == GF_OK)
        assign_nothing(&notes, graph);
    gf__config_notes_free(&notes);
    gf_graph_free(graph);
    gf__json_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (gf__keras_archive_begins((const char *)bytes, n_bytes) ||
        (n_bytes >= 2 && bytes[0] == 'P' && bytes[1] == 'K'))
        read_archive(bytes, n_bytes);
    else
        read_config(bytes, n_bytes);
    return 0;
}
