"""libgraft through ctypes: finding it, its types and functions, errors, interruption.

    lib = native.lib()
    trunk = native.Handle(lib.gf_trunk_free)
    native.call(lib.gf_trunk_load, b"/home", b"inception_v3", trunk.out())

Everything else in the package is written in terms of this module.
"""
import ctypes
import ctypes.util
import glob
import logging
import os
import signal
import threading

from . import errors
from .errors import InvalidError

VERSION = "0.1.0"
log = logging.getLogger("graft")

c_size_p = ctypes.POINTER(ctypes.c_size_t)
c_float_p = ctypes.POINTER(ctypes.c_float)
c_char_pp = ctypes.POINTER(ctypes.c_char_p)
c_void_pp = ctypes.POINTER(ctypes.c_void_p)

POOL_NONE, POOL_AVG, POOL_MAX = range(3)
PRECISION = {"auto": 0, "f32": 1, "bf16": 2}
ACTIVATION = {"linear": 0, "relu": 1, "softmax": 2, "tanh": 3, "sigmoid": 4}
OPTIMIZER = {"adam": 0, "sgd": 1, "rmsprop": 2}
SAMPLE_PIXELS, SAMPLE_NUMBERS = 1, 3


class gf_error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 512)]


class gf_progress(ctypes.Structure):
    _fields_ = [("stage", ctypes.c_char_p), ("n_done", ctypes.c_uint64),
                ("n_total", ctypes.c_uint64), ("item", ctypes.c_char_p)]


PROGRESS = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(gf_progress))
LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class gf_observer(ctypes.Structure):
    _fields_ = [("progress", PROGRESS), ("log", LOG), ("user", ctypes.c_void_p)]


class gf_context(ctypes.Structure):
    _fields_ = [("home", ctypes.c_char_p), ("n_threads", ctypes.c_int),
                ("max_pixels", ctypes.c_uint64)]


class gf_image_options(ctypes.Structure):
    _fields_ = [("max_pixels", ctypes.c_uint64), ("target_width", ctypes.c_size_t),
                ("target_height", ctypes.c_size_t)]


class gf_output_spec(ctypes.Structure):
    _fields_ = [("layer", ctypes.c_char_p), ("pool", ctypes.c_int)]


class gf_extractor_options(ctypes.Structure):
    _fields_ = [("precision", ctypes.c_int), ("n_threads", ctypes.c_int),
                ("cache_dir", ctypes.c_char_p), ("pack_dir", ctypes.c_char_p),
                ("max_pixels", ctypes.c_uint64), ("for_latency", ctypes.c_bool)]


class gf_dataset_arrays(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("values", ctypes.c_void_p), ("n", ctypes.c_size_t),
                ("height", ctypes.c_size_t), ("width", ctypes.c_size_t), ("labels", c_size_p),
                ("class_names", c_char_pp), ("n_class_names", ctypes.c_size_t)]


class gf_head_layer(ctypes.Structure):
    _fields_ = [("units", ctypes.c_size_t), ("activation", ctypes.c_int),
                ("dropout", ctypes.c_double), ("name", ctypes.c_char_p)]


class gf_train_options(ctypes.Structure):
    _fields_ = [("n_epochs", ctypes.c_int), ("batch_size", ctypes.c_size_t),
                ("optimizer", ctypes.c_int), ("learning_rate", ctypes.c_double),
                ("momentum", ctypes.c_double), ("seed", ctypes.c_uint64),
                ("is_balanced", ctypes.c_bool), ("keeps_order", ctypes.c_bool),
                ("early_stop", ctypes.c_int),
                ("n_threads", ctypes.c_int)]


class gf_fit_data(ctypes.Structure):
    _fields_ = [("features", c_float_p), ("labels", c_size_p), ("n", ctypes.c_size_t),
                ("n_views", ctypes.c_size_t), ("class_weights", c_float_p),
                ("targets", c_float_p), ("row_weights", c_float_p)]


class gf_epoch(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("loss", ctypes.c_double),
                ("accuracy", ctypes.c_double), ("val_loss", ctypes.c_double),
                ("val_accuracy", ctypes.c_double), ("time_s", ctypes.c_double)]


EPOCH = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(gf_epoch), ctypes.c_int)


class gf_fit_callbacks(ctypes.Structure):
    _fields_ = [("epoch", EPOCH), ("user", ctypes.c_void_p), ("checkpoint_path", ctypes.c_char_p),
                ("is_resumed", ctypes.c_bool), ("is_kept", ctypes.c_bool),
                ("data_id", ctypes.c_char_p), ("state", ctypes.c_void_p),
                ("learning_rate", ctypes.POINTER(ctypes.c_double))]


class gf_metrics(ctypes.Structure):
    _fields_ = [("n", ctypes.c_size_t), ("n_classes", ctypes.c_size_t), ("loss", ctypes.c_double),
                ("accuracy", ctypes.c_double)]  # and more, that is not read here


class gf_split_options(ctypes.Structure):
    _fields_ = [("test_fraction", ctypes.c_double), ("seed", ctypes.c_uint32),
                ("is_stratified", ctypes.c_bool)]


class gf_split(ctypes.Structure):
    _fields_ = [("train", c_size_p), ("n_train", ctypes.c_size_t), ("test", c_size_p),
                ("n_test", ctypes.c_size_t)]


class gf_save_request(ctypes.Structure):
    _fields_ = [("context", gf_context), ("head", ctypes.c_void_p), ("trunk", ctypes.c_void_p),
                ("means", c_float_p), ("scales", c_float_p), ("layer", ctypes.c_char_p),
                ("pool", ctypes.c_int), ("precision", ctypes.c_int),
                ("dataset", ctypes.c_void_p), ("training", ctypes.c_char_p),
                ("output", ctypes.c_char_p), ("is_bundle", ctypes.c_bool)]


class gf_export_request(ctypes.Structure):
    _fields_ = [("context", gf_context), ("model", ctypes.c_char_p), ("format", ctypes.c_int),
                ("output", ctypes.c_char_p), ("is_head_only", ctypes.c_bool),
                ("has_decoder", ctypes.c_bool), ("quantisation", ctypes.c_int), ("observer", ctypes.POINTER(gf_observer))]


# Short words for the table of functions below.
_C = {
    "void": None, "int": ctypes.c_int, "bool": ctypes.c_bool, "size": ctypes.c_size_t,
    "index": ctypes.c_ssize_t, "u64": ctypes.c_uint64, "float": ctypes.c_float,
    "double": ctypes.c_double, "text": ctypes.c_char_p, "ptr": ctypes.c_void_p,
    "out": c_void_pp, "sizes": c_size_p, "floats": c_float_p, "texts": c_char_pp,
    "error": ctypes.POINTER(gf_error), "observer": ctypes.POINTER(gf_observer),
    "image_options": ctypes.POINTER(gf_image_options), "specs": ctypes.POINTER(gf_output_spec),
    "extractor_options": ctypes.POINTER(gf_extractor_options),
    "arrays": ctypes.POINTER(gf_dataset_arrays), "layers": ctypes.POINTER(gf_head_layer),
    "fit_data": ctypes.POINTER(gf_fit_data), "options": ctypes.POINTER(gf_train_options),
    "callbacks": ctypes.POINTER(gf_fit_callbacks), "save": ctypes.POINTER(gf_save_request),
    "export": ctypes.POINTER(gf_export_request), "ints": ctypes.POINTER(ctypes.c_int),
    "split_options": ctypes.POINTER(gf_split_options),
    "extractor_options!": gf_extractor_options, "options!": gf_train_options,
    "head_layer!": gf_head_layer,
}

# name: result, arguments. A result of "st" is a gf_status with a gf_error last.
_FUNCTIONS = """
gf_version                  text
gf_threads_available        int
gf_engine_isa               text
gf_precision_resolve        int   int
gf_trunk_load               st    text text out
gf_trunk_free               void  ptr
gf_zoo_import               st    text text text ptr observer
gf_trunk_name               text  ptr
gf_trunk_sha256             text  ptr
gf_trunk_graph              ptr   ptr
gf_trunk_n_classes          size  ptr
gf_trunk_class_at           text  ptr size
gf_trunk_class_id_at        text  ptr size
gf_trunk_input              void  ptr sizes sizes floats floats
gf_graph_name               text  ptr
gf_graph_n_layers           size  ptr
gf_graph_layer_at           ptr   ptr index
gf_graph_free               void  ptr
gf_graph_cut                st    ptr text out
gf_layer_name               text  ptr
gf_layer_class_name         text  ptr
gf_layer_n_dims             size  ptr
gf_layer_shape              sizes ptr
gf_layer_n_params           size  ptr
gf_layer_n_trainable_params size  ptr
gf_layer_n_inputs           size  ptr
gf_layer_input_at           size  ptr size
gf_layer_weight             ptr   ptr text
gf_tensor_n_dims            size  ptr
gf_tensor_shape             sizes ptr
gf_tensor_f32               floats ptr
gf_tensor_free              void  ptr
gf_image_load               st    text image_options out
gf_image_decode             st    text size image_options out
gf_image_from_rgb           st    ptr size size out
gf_image_resize             st    ptr size size out
gf_image_width              size  ptr
gf_image_height             size  ptr
gf_image_rgb                ptr   ptr
gf_image_encode_png         st    ptr out sizes
gf_image_encode_jpeg        st    ptr int out sizes
gf_image_bytes_free         void  ptr
gf_image_free               void  ptr
gf_dataset_new              st    arrays out
gf_dataset_free             void  ptr
gf_extractor_options_default extractor_options!
gf_extractor_new            st    ptr specs size extractor_options out
gf_extractor_free           void  ptr
gf_extractor_precision      int   ptr
gf_extractor_output_shape   size  ptr size sizes
gf_extractor_dataset        st    ptr ptr ptr observer out
gf_head_new                 st    size layers size out
gf_head_free                void  ptr
gf_head_from_graph          st    ptr size out
gf_head_n_features          size  ptr
gf_head_n_layers            size  ptr
gf_head_layer_at            head_layer! ptr size
gf_head_kernel              floats ptr size
gf_head_bias                floats ptr size
gf_head_initialise          void  ptr u64
gf_head_predict             st    ptr floats size floats
gf_train_options_default    options!
gf_fit                      st    ptr fit_data fit_data options callbacks out
gf_history_free             void  ptr
gf_fit_state_new            st    out
gf_fit_state_free           void  ptr
gf_metrics_new              st    floats sizes size size out
gf_metrics_free             void  ptr
gf_service_save             st    save
gf_export_format_parse      st    text ints
gf_quantisation_parse       st    text ints
gf_service_export           st    export
gf_model_load               st    text out
gf_model_unref              void  ptr
gf_model_head               ptr   ptr
gf_model_n_classes          size  ptr
gf_model_class_at           text  ptr size
gf_model_trunk_name         text  ptr
gf_model_trunk_sha256       text  ptr
gf_model_layer              text  ptr
gf_model_pool               int   ptr
gf_model_precision          int   ptr
gf_model_is_bundle          bool  ptr
gf_model_n_inputs           size  ptr
gf_model_column_at          text  ptr size
gf_model_mean_at            float ptr size
gf_model_scale_at           float ptr size
gf_model_trunk              st    ptr text out
gf_model_document           text  ptr
gf_split_labels             st    sizes size size split_options out
gf_split_free               void  ptr
"""

_lib = None
_lock = threading.Lock()


def _candidates():
    """Where the library may be, best first: (path, why)."""
    chosen = os.environ.get("GRAFT_LIBRARY")
    if chosen:
        yield chosen
        return
    package = os.path.dirname(os.path.realpath(__file__))
    root = os.path.dirname(os.path.dirname(package))
    beside = [package, os.path.join(root, "build")]
    # Installed by meson: PREFIX/share/graft/python/graft, PREFIX/lib/MULTIARCH/libgraft.so.0
    prefix = os.path.dirname(os.path.dirname(root))
    if os.path.basename(root) == "graft":
        beside += [os.path.join(prefix, "lib"), os.path.join(prefix, "lib64"),
                   *sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "*-*")))]
    for folder in beside:
        for name in ("libgraft.so.0", "libgraft.so"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                yield path
    yield "libgraft.so.0"


def _open():
    tried = []
    for path in _candidates():
        try:
            return ctypes.CDLL(path), path
        except OSError as error:
            tried.append(f"{path} ({error})")
    raise ImportError("the library of graft cannot be loaded: " + "; ".join(tried) +
                      "; build it (make) or set GRAFT_LIBRARY to libgraft.so")


def _declare(library, path):
    if not hasattr(library, "gf_version"):
        raise ImportError(f"{path} is no library of graft; set GRAFT_LIBRARY to libgraft.so")
    library.gf_version.restype = ctypes.c_char_p
    found = library.gf_version().decode()
    if found.split(".")[:2] != VERSION.split(".")[:2]:
        raise ImportError(f"{path} is graft {found}, this Python package is {VERSION}: install "
                          "both from one version, or set GRAFT_LIBRARY to another libgraft.so")
    for line in _FUNCTIONS.split("\n"):
        if not line:
            continue
        name, result, *arguments = line.split()
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{path} (graft {found}) has no function {name}, which this Python "
                              "package needs: build and install both from one version") from None
        types = [_C[word] for word in arguments]
        if result == "st":
            types.append(_C["error"])
        function.argtypes = types
        function.restype = ctypes.c_int if result == "st" else _C[result]


def lib():
    """The library, loaded when it is first asked for."""
    global _lib
    with _lock:
        if _lib is None:
            library, path = _open()
            _declare(library, path)
            _lib = library
    return _lib


def call(function, *arguments):
    """Calls what returns a gf_status; a failure is raised."""
    error = gf_error()
    status = function(*arguments, ctypes.byref(error))
    if status:
        raise errors.make(status, error.message.decode(errors="replace"))


class Handle:
    """An object of the library, ended with it. Handles that it needs are kept as its owners."""

    def __init__(self, free, *owners):
        self._free = free
        self._owners = owners
        self.value = ctypes.c_void_p()
        self._as_parameter_ = self.value

    def out(self):
        """For a call that fills it."""
        return ctypes.byref(self.value)

    def close(self):
        if self.value:
            self._free(self.value)
            self.value.value = None

    def __del__(self):
        try:
            self.close()
        except (AttributeError, TypeError):
            pass  # at the interpreter's end


@LOG
def _log(_user, level, message):
    log.log((logging.DEBUG, logging.INFO, logging.WARNING)[level],
            "%s", message.decode(errors="replace"))


class Interrupts:
    """While the library works, Ctrl-C is noted in .is_asked instead of raised: an exception that
    comes anywhere in a callback would be lost in C. It is raised at the end."""

    def __enter__(self):
        self.is_asked = False
        self._before = None
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number, frame):
        self.is_asked = True

    def __exit__(self, kind, error, trace):
        if self._before is None:
            return
        signal.signal(signal.SIGINT, self._before)
        if self.is_asked:
            self._before(signal.SIGINT, None)  # Python's own raises KeyboardInterrupt


def call_stoppable(function, *arguments, progress=None):
    """Calls what takes a gf_observer: arguments has OBSERVER where it belongs, or a request (passed
    by its address) with a member for it.

    The call runs in a thread of its own, so that the main one can take Ctrl-C; the library is then
    asked to stop. progress(stage, n_done, n_total) may return False to stop, too.
    """
    state = {"stop": False, "error": None}
    done = threading.Event()

    @PROGRESS
    def watch(_user, at):
        if progress is not None and not state["stop"]:
            try:
                if progress(at[0].stage.decode(), at[0].n_done, at[0].n_total) is False:
                    state["stop"] = True
            except BaseException as error:  # it must not pass through C
                state["stop"], state["error"] = True, error
        return not (state["stop"] or interrupts.is_asked)

    observer = gf_observer(watch, _log, None)
    passed = []
    for value in arguments:
        if isinstance(value, ctypes.Structure):
            value.observer = ctypes.pointer(observer)
        passed.append(ctypes.byref(observer) if value is OBSERVER else
                      ctypes.byref(value) if isinstance(value, ctypes.Structure) else value)

    def run():
        try:
            call(function, *passed)
        except BaseException as error:  # raised again in the caller's thread
            state["error"] = state["error"] or error
        finally:
            done.set()

    with Interrupts() as interrupts:
        threading.Thread(target=run, name="graft", daemon=True).start()
        done.wait()
    if state["error"] is not None:
        raise state["error"]


OBSERVER = object()


def text(value):
    return os.fsencode(value) if value is not None else None


def texts(values):
    """char ** of a list; keep the result while it is used."""
    return (ctypes.c_char_p * len(values))(*[text(value) for value in values])


def context():
    from . import settings
    return gf_context(text(settings.home()), settings.threads(), 0)


def floats(array):
    """const float * of a contiguous float32 array."""
    if array.dtype != "float32" or not array.flags.c_contiguous:
        raise InvalidError("expected a contiguous float32 array")
    return array.ctypes.data_as(c_float_p)


def sizes(array):
    return array.ctypes.data_as(c_size_p)
