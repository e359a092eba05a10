/* zoo/keras/keras.h: Keras' own files: HDF5 (.h5, whole models and weights alone) and .keras archives. */
#ifndef GRAFT_ZOO_KERAS_H
#define GRAFT_ZOO_KERAS_H

#include "zoo/zoo_priv.h"

/* scratch_dir: where the converter may write; on the file system of the home, since checkpoints are
 * large. */
gf_status gf__hdf5_read(const char *path, const char *scratch_dir, const gf_observer *obs,
                        gf__checkpoint *out, gf_error *err);

/* Whether the first bytes of a file are those of a .keras archive. */
bool gf__keras_archive_begins(const char *head, size_t n);
gf_status gf__keras_read(const char *path, const char *scratch_dir, const gf_observer *obs,
                         gf__checkpoint *out, gf_error *err);

#endif
