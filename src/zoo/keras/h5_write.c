/* zoo/keras/h5_write.c: the other way through graft-h5: a safetensors file with the tensors, metadata and list of
 * layers that reading makes, as a Keras HDF5 model: attributes model_config, backend, keras_version, where it is
 * there graft_properties, which Keras does not look at, and the group model_weights with a group a layer. With metadata "root" it is the model.weights.h5 of a .keras
 * archive: groups LAYER/vars below that root, whose datasets are called 0, 1 ... */
#include <hdf5.h>

#include <string.h>

#include "base/base.h"
#include "tensor/tensor.h"
#include "zoo/keras/h5_write_priv.h"

#define MAX_ATTRIBUTE_BYTES 60000 /* HDF5 keeps at most 64 KiB in one; Keras cuts longer lists */

/* A text of any length: kept outside of the header. */
static gf_status write_text(hid_t object, const char *key, const char *text, gf_error *err)
{
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    const hid_t attribute = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool is_written = attribute >= 0 && H5Awrite(attribute, type, &text) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return is_written ? GF_OK
                      : gf_error_set(err, GF_EIO, "the attribute %s cannot be written", key);
}

static gf_status write_rows(hid_t object, const char *key, const char *rows, size_t n, size_t width,
                            gf_error *err)
{
    const hsize_t sides[] = {n};
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, sides, NULL);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    const hid_t attribute = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool is_written = attribute >= 0 && (n == 0 || H5Awrite(attribute, type, rows) >= 0);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return is_written ? GF_OK
                      : gf_error_set(err, GF_EIO, "the attribute %s cannot be written", key);
}

/* Texts of one width, as numpy makes them; in parts key0, key1 ... where they are too many for one. */
static gf_status write_list(hid_t object, const char *key, const gf__json *list, bool is_pair,
                            gf_error *err)
{
    size_t width = 1;
    const size_t n = gf__json_n_items(list);
    for (size_t i = 0; i < n; i++) {
        const gf__json *item = gf__json_at(list, i);
        const size_t length = strlen(gf__json_string(is_pair ? gf__json_at(item, 0) : item, ""));
        width = length > width ? length : width;
    }
    char *rows = gf__calloc(n + 1, width);
    if (rows == NULL)
        return gf__error_nomem(err, key, n * width);
    for (size_t i = 0; i < n; i++) {
        const gf__json *item = gf__json_at(list, i);
        const char *text = gf__json_string(is_pair ? gf__json_at(item, 0) : item, "");
        memcpy(rows + i * width, text, strlen(text));
    }
    gf_status st = GF_OK;
    if (n * width <= MAX_ATTRIBUTE_BYTES)
        st = write_rows(object, key, rows, n, width, err);
    else
        for (size_t at = 0, part = 0; at < n && st == GF_OK; part++) {
            char name[64];
            const size_t most = MAX_ATTRIBUTE_BYTES / width;
            const size_t count = n - at < most ? n - at : most;
            snprintf(name, sizeof name, "%s%zu", key, part);
            st = write_rows(object, name, rows + at * width, count, width, err);
            at += count;
        }
    gf__free(rows);
    return st;
}

/* A group below at; its name may have slashes, as layers of Keras 2 do. */
static hid_t make_group(hid_t at, const char *name)
{
    const hid_t link = H5Pcreate(H5P_LINK_CREATE), how = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    H5Pset_obj_track_times(how, 0);
    const hid_t group = H5Gcreate2(at, name, link, how, H5P_DEFAULT);
    H5Pclose(how);
    H5Pclose(link);
    return group;
}

/* title: what messages call it. */
static gf_status write_dataset(hid_t group, const char *name, const char *title,
                               const gf_tensor *tensor, gf_error *err)
{
    hsize_t sides[GF_TENSOR_MAX_DIMS];
    const size_t n_dims = gf_tensor_n_dims(tensor);
    for (size_t d = 0; d < n_dims; d++)
        sides[d] = gf_tensor_shape(tensor)[d];
    const hid_t link = H5Pcreate(H5P_LINK_CREATE), how = H5Pcreate(H5P_DATASET_CREATE),
                space = H5Screate_simple((int)n_dims, sides, NULL);
    H5Pset_create_intermediate_group(link, 1); /* "conv2d_1/kernel:0" is a group and a name */
    H5Pset_obj_track_times(how, 0);            /* the same model gives the same bytes */
    const hid_t dataset = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, link, how, H5P_DEFAULT);
    const bool is_written = dataset >= 0 && H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL,
                                                     H5P_DEFAULT, gf_tensor_data(tensor)) >= 0;
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(how);
    H5Pclose(link);
    return is_written ? GF_OK
                      : gf_error_set(err, GF_EIO, "%s cannot be written; is the disk full?", title);
}

static gf_status make_empty_group(hid_t at, const char *name, gf_error *err)
{
    const hid_t group = make_group(at, name);
    if (group < 0)
        return gf_error_set(err, GF_EIO, "the group %s cannot be made", name);
    H5Gclose(group);
    return GF_OK;
}

static gf_status write_layer(hid_t root, const gf_safetensors *file, const gf__json *entry,
                             bool is_archive, gf_error *err)
{
    const char *layer = gf__json_string(gf__json_at(entry, 0), "");
    const gf__json *weights = gf__json_at(entry, 1);
    const hid_t group = make_group(root, layer);
    if (group < 0)
        return gf_error_set(err, GF_EIO, "the group %s cannot be made", layer);
    gf_status st = is_archive ? make_empty_group(group, "vars", err)
                              : write_list(group, "weight_names", weights, false, err);
    for (size_t i = 0; i < gf__json_n_items(weights) && st == GF_OK; i++) {
        const char *weight = gf__json_string(gf__json_at(weights, i), "");
        char *name = gf__asprintf("%s/%s", layer, weight);
        const gf_tensor *tensor = name != NULL ? gf_safetensors_find(file, name) : NULL;
        if (tensor == NULL || gf_tensor_dtype(tensor) != GF_DTYPE_F32)
            st = gf_error_set(err, GF_EFORMAT, "has no float32 tensor %s/%s", layer, weight);
        else
            st = write_dataset(group, weight, is_archive ? name : weight, tensor, err);
        gf__free(name);
    }
    H5Gclose(group);
    return st;
}

static gf_status write_texts(hid_t object, const gf_safetensors *file, bool has_config,
                             gf_error *err)
{
    static const char *const keys[] = {"backend", "keras_version", "model_config"};
    gf_status st = GF_OK;
    for (size_t i = 0; i < (has_config ? 3 : 2) && st == GF_OK; i++) {
        const char *text = gf_safetensors_metadata(file, keys[i]);
        if (text == NULL)
            return gf_error_set(err, GF_EFORMAT, "has no %s", keys[i]);
        st = write_text(object, keys[i], text, err);
    }
    return st;
}

static gf_status write_model(hid_t out, const gf_safetensors *file, const gf__json *layers,
                             gf_error *err)
{
    const hid_t root = make_group(out, "model_weights");
    if (root < 0)
        return gf_error_set(err, GF_EIO, "the group model_weights cannot be made");
    const char *properties = gf_safetensors_metadata(file, "graft_properties");
    gf_status st = write_texts(out, file, true, err);
    if (st == GF_OK && properties != NULL)
        st = write_text(out, "graft_properties", properties, err);
    if (st == GF_OK)
        st = write_texts(root, file, false, err);
    if (st == GF_OK)
        st = write_list(root, "layer_names", layers, true, err);
    for (size_t i = 0; i < gf__json_n_items(layers) && st == GF_OK; i++)
        st = write_layer(root, file, gf__json_at(layers, i), false, err);
    H5Gclose(root);
    return st;
}

static gf_status write_archived(hid_t out, const gf_safetensors *file, const gf__json *layers,
                                const char *root_name, gf_error *err)
{
    const hid_t root = make_group(out, root_name);
    if (root < 0)
        return gf_error_set(err, GF_EIO, "the group %s cannot be made", root_name);
    gf_status st = make_empty_group(out, "vars", err); /* the model's own, which are none */
    for (size_t i = 0; i < gf__json_n_items(layers) && st == GF_OK; i++)
        st = write_layer(root, file, gf__json_at(layers, i), true, err);
    H5Gclose(root);
    return st;
}

gf_status gf__h5_write(const char *input, const char *output, gf_error *err)
{
    gf_safetensors *file = NULL;
    gf__json *layers = NULL;
    hid_t out = -1;
    gf_status st = gf_safetensors_open(input, &file, err);
    if (st != GF_OK)
        return st;
    const char *text = gf_safetensors_metadata(file, "layers");
    const char *root = gf_safetensors_metadata(file, "root");
    st = text != NULL ? gf__json_parse(text, strlen(text), &layers, err)
                      : gf_error_set(err, GF_EFORMAT, "has no list of layers");
    if (st == GF_OK) {
        /* The same model gives the same bytes: no times in it. */
        const hid_t how = H5Pcreate(H5P_FILE_CREATE);
        H5Pset_obj_track_times(how, 0);
        out = H5Fcreate(output, H5F_ACC_TRUNC, how, H5P_DEFAULT);
        H5Pclose(how);
        if (out < 0)
            st = gf_error_set(err, GF_EIO, "cannot be made");
    }
    if (st == GF_OK)
        st = root != NULL ? write_archived(out, file, layers, root, err)
                          : write_model(out, file, layers, err);
    /* After a write that failed the library may crash on closing; this process is about to end. */
    if (st == GF_OK && H5Fclose(out) < 0)
        st = gf_error_set(err, GF_EIO, "cannot be written to its end; is the disk full?");
    gf__json_free(layers);
    gf_safetensors_close(file);
    return st;
}
