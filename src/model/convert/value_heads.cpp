#include "model/convert/value_heads.h"

#include <functional>
#include <utility>

namespace weir::model {

OutputTensor with_value_heads(HeadOrder order, std::string_view kind,
                              const TransformerConfig& config, OutputTensor tensor) {
    if (!config.delta_net || !config.architecture.starts_with("qwen35")) {
        return tensor;
    }
    const DeltaNetConfig& net = *config.delta_net;
    const uint64_t keys = net.key_heads;
    const uint64_t share = net.value_heads / net.key_heads;
    // Head k * share + j of a folder is head j * keys + k of GGUF.
    const uint64_t inner = order == HeadOrder::Gguf ? keys : share;
    const uint64_t outer = order == HeadOrder::Gguf ? share : keys;
    const auto moved = [inner, outer](uint64_t begin, uint64_t size) {
        return [=](uint64_t i) {
            if (i < begin) {
                return i;
            }
            const uint64_t head = (i - begin) / size;
            return begin + (head % inner * outer + head / inner) * size + (i - begin) % size;
        };
    };
    if (kind == "attn_qkv.weight" || kind == "ssm_conv1d.weight") {
        return by_index(std::move(tensor), moved(2 * net.keys(), net.value_dim));
    }
    if (kind == "attn_gate.weight") {
        return by_index(std::move(tensor), moved(0, net.value_dim));
    }
    if (kind == "ssm_beta.weight" || kind == "ssm_alpha.weight" || kind == "ssm_a" ||
        kind == "ssm_dt.bias") {
        return by_index(std::move(tensor), moved(0, 1));
    }
    return kind == "ssm_out.weight" ? with_columns(std::move(tensor), moved(0, net.value_dim))
                                    : std::move(tensor);
}

}  // namespace weir::model
