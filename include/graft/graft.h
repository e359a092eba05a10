/* graft/graft.h: all of the library's public interface.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_GRAFT_H
#define GRAFT_GRAFT_H

#include "graft/base.h"
#include "graft/data.h"
#include "graft/engine.h"
#include "graft/features.h"
#include "graft/graph.h"
#include "graft/head.h"
#include "graft/image.h"
#include "graft/model.h"
#include "graft/registry.h"
#include "graft/server.h"
#include "graft/service.h"
#include "graft/tensor.h"
#include "graft/train.h"
#include "graft/zoo.h"

#endif
