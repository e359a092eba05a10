#!/bin/bash
# Refuses an include in src/ that goes up, sideways, or past a folder's door. src/LAYERS lists the folders, lowest first.
# A folder's doors are NAME/NAME.h, the public graft/NAME.h and what protoc-c makes of a .proto; inside its own folder a file includes what it likes,
# of another folder in it the door (zoo/onnx/onnx.h).
set -u
cd "$(dirname "$0")/.." || exit 1

declare -A level
n=0
while read -r line; do
    case $line in '#'* | '') continue ;; esac
    n=$((n + 1))
    for folder in $line; do level[$folder]=$n; done
done <src/LAYERS

failed=0
complain() { echo "check-layers: $1:$2: $3" >&2; failed=1; }

for dir in src/*/ src/*/*/; do
    [ -d "$dir" ] || continue
    folder=${dir#src/}; folder=${folder%/}
    [ -n "${level[$folder]:-}" ] || complain src/LAYERS 0 "src/$folder is not listed"
done

while IFS=: read -r file line text; do
    folder=${file#src/}; folder=${folder%%/*}
    header=$(sed -E 's/.*"([^"]+)".*/\1/' <<<"$text")
    from=${header%%/*}
    name=${header#*/}
    if [ "$from" = graft ]; then
        from=${name%.h}
        # The umbrella header is for programs, not for the library's own files.
        [ "$from" = graft ] && { [ "$folder" = cli ] || complain "$file" "$line" "includes graft/graft.h"; continue; }
    elif [ "$from" != "$folder" ] && [ "$name" != "$from.h" ] && [ "${name%.pb-c.h}" = "$name" ]; then
        complain "$file" "$line" "includes $header, not the door $from/$from.h"
        continue
    fi
    if [ "$from" = "$folder" ]; then
        room=$(dirname "${file#src/}"); its=$(dirname "$header")
        # An inner folder's files: their own, the outer folder's, and those of inner folders below.
        if [ "$room" != "$folder" ] && [ "$its" != "$folder" ] && [ "$its" != "$room" ] &&
            [ "${level[$its]:-99}" -ge "${level[$room]:-0}" ]; then
            complain "$file" "$line" "$room includes $header: $its is not below it"
        fi
        # An inner folder has one door, too.
        case $its in
            "$room" | graft) ;;
            */*) [ "$header" = "$its/${its##*/}.h" ] || complain "$file" "$line" "includes $header, not the door $its/${its##*/}.h" ;;
        esac
        continue
    fi
    if [ -z "${level[$from]:-}" ]; then
        complain "$file" "$line" "includes $header of no known folder"
    elif [ "${level[$from]}" -ge "${level[$folder]:-0}" ]; then
        complain "$file" "$line" "$folder includes $header: $from is not below it"
    fi
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src --include='*.[ch]')

# A foreign library is seen by one file, everything else goes through that file; or by the few that include its header
# here.
only_in() {
    local pattern=$1; shift
    local file
    for file in $(grep -rlE "#[[:space:]]*include[[:space:]]*[<\"]($pattern)" src --include='*.[ch]'); do
        case " $* " in *" $file "*) ;; *) complain "$file" 0 "includes a header that only $* may see" ;; esac
    done
}
only_in 'jansson' src/base/json.c
only_in 'yaml\.h>' src/base/yaml.c
only_in 'openssl/' src/base/hash.c
only_in 'curl/' src/base/curl_priv.h
only_in 'base/curl_priv\.h' src/base/{curl,download_request,http_client}.c
only_in 'zip\.h' src/tensor/archive.c
only_in 'png\.h' src/image/decode_png.c src/image/encode.c
only_in 'jpeglib|turbojpeg' src/image/decode_jpeg.c src/image/encode.c
only_in 'webp/' src/image/decode_webp.c
only_in 'gif_lib' src/image/decode_gif.c
only_in 'cairo' src/image/plot_png.c
only_in '(oneapi/dnnl/)?dnnl|omp\.h' src/engine/onednn_priv.h
only_in 'engine/onednn_priv\.h' src/engine/dnnl_{device,prim,recipe,versions}.c
only_in 'sqlite3' src/registry/db.c
only_in 'hdf5' src/zoo/keras/graft-h5.c src/zoo/keras/h5_write.c
only_in 'protobuf-c' src/proto/proto.h
only_in 'seccomp|cap-ng|linux/landlock' src/worker/sandbox.c
only_in 'archive(_entry)?\.h' src/tasks/archive.c
only_in 'microhttpd' src/server/http_mhd_priv.h

exit $failed
