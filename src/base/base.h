/* base/base.h: the door of base. Other folders include this and see all of it. */
#ifndef GRAFT_SRC_BASE_H
#define GRAFT_SRC_BASE_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/download.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/rng.h"
#include "base/threads.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "graft/base.h"

#endif
