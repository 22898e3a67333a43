#include "gossip/codec.h"

#include <cstdlib>

#include "gossip/codec_fields.h"

namespace ringagent {

namespace {

template <class T>
std::string write(const T& value, bool clip) {
  Writer writer(clip);
  writer(value);
  return writer.take();
}

template <class T>
Result<T> read(std::string_view bytes, std::size_t bytes_max, const char* what) {
  if (bytes.size() > bytes_max)
    return fail(std::string(what) + ": longer than " + std::to_string(bytes_max) + " bytes");
  Reader reader(bytes);
  T value;
  reader(value);
  if (const auto error = reader.finish()) return fail(std::string(what) + ": " + error->text);
  return value;
}

// Facts and Decided are pieces of something longer: half a piece is a piece.
bool halve(Body& body) {
  if (auto* facts = std::get_if<Facts>(&body); facts && facts->records.size() > 1) {
    facts->records.resize(facts->records.size() / 2);
    return true;
  }
  if (auto* decided = std::get_if<Decided>(&body); decided && decided->configs.size() > 1) {
    decided->configs.resize(decided->configs.size() / 2);
    return true;
  }
  return false;
}

}  // namespace

std::string encode(const Message& message) {
  std::string bytes = write(message, true);
  if (bytes.size() <= kMessageBytesMax) return bytes;
  Message shorter = message;
  if (!halve(shorter.body)) std::abort();
  return encode(shorter);
}

Result<Message> decode(std::string_view bytes) {
  return read<Message>(bytes, kMessageBytesMax, "message");
}

std::string encode(const NodeRecord& record) {
  return write(record, true);
}

Result<NodeRecord> decode_record(std::string_view bytes) {
  return read<NodeRecord>(bytes, kMessageBytesMax, "record");
}

std::string encode(const DurableState& state) {
  return write(state, false);
}

Result<DurableState> decode_state(std::string_view bytes) {
  return read<DurableState>(bytes, kStateBytesMax, "state");
}

}  // namespace ringagent
