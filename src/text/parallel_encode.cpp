#include "text/parallel_encode.h"

#include <atomic>
#include <system_error>
#include <thread>

namespace weir::text {
namespace {

// Small enough that the threads end together, large enough that a chunk costs more than its
// fetching.
constexpr size_t kChunkBytes = size_t{1} << 17;

struct Chunk {
    std::span<const Piece> pieces;
    std::vector<TokenId> ids;
    Result<void> result = {};
};

std::vector<Chunk> chunks_of(std::span<const Piece> pieces) {
    std::vector<Chunk> chunks;
    for (size_t begin = 0; begin < pieces.size();) {
        size_t end = begin;
        while (end < pieces.size() && pieces[end].begin - pieces[begin].begin < kChunkBytes) {
            ++end;
        }
        chunks.push_back({pieces.subspan(begin, end - begin), {}});
        begin = end;
    }
    return chunks;
}

}  // namespace

Result<void> encode_in_parallel(const TokenModel& model, std::string_view text,
                                std::span<const Piece> pieces, unsigned threads_max,
                                std::vector<TokenId>& out) {
    std::vector<Piece> parts;
    parts.reserve(pieces.size());
    for (const Piece& piece : pieces) {
        if (piece.end - piece.begin > kChunkBytes) {
            model.cut(text, piece, kChunkBytes, parts);
        } else {
            parts.push_back(piece);
        }
    }
    std::vector<Chunk> chunks = chunks_of(parts);
    std::atomic<size_t> next = 0;
    const auto work = [&] {
        EncodeScratch scratch;
        for (size_t i = next.fetch_add(1); i < chunks.size(); i = next.fetch_add(1)) {
            chunks[i].result = model.encode(text, chunks[i].pieces, chunks[i].ids, scratch);
        }
    };
    {
        std::vector<std::jthread> helpers;
        for (unsigned i = 1; i < threads_max && i < chunks.size(); ++i) {
            try {
                helpers.emplace_back(work);
            } catch (const std::system_error&) {
                break;  // how the library says that no thread is to be had: those there do it all
            }
        }
        work();
    }
    for (Chunk& chunk : chunks) {
        WEIR_TRY(std::move(chunk.result));
        out.insert(out.end(), chunk.ids.begin(), chunk.ids.end());
    }
    return {};
}

}  // namespace weir::text
