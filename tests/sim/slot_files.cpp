#include "tests/sim/slot_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace ringagent::sim {
namespace {

constexpr std::size_t kSector = 512;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

SlotFiles::SlotFiles() : directory_("/dev/shm/ringsim-XXXXXX") {  // in memory: syncing costs nothing there
  if (::mkdtemp(directory_.data()) != nullptr) return;
  directory_ = std::filesystem::temp_directory_path() / "ringsim-XXXXXX";
  if (::mkdtemp(directory_.data()) == nullptr)
    throw std::filesystem::filesystem_error("mkdtemp", directory_, std::error_code(errno, std::generic_category()));
}

SlotFiles::~SlotFiles() {
  close();
  std::filesystem::remove_all(directory_);
}

Result<DurableState> SlotFiles::open(const NodeId& fresh) {
  auto opened = Store::open(directory_, fresh, {});
  if (!opened) return tl::unexpected(opened.error());
  store_ = std::move(opened->store);
  return std::move(opened->state);
}

void SlotFiles::tear(const DurableState& state, std::mt19937_64& random) {
  const std::array<std::string, 2> before = {read(slot(0)), read(slot(1))};
  persist(state);
  close();
  for (int i = 0; i < 2; ++i) {
    std::string bytes = read(slot(i));
    const std::string& old = before[static_cast<std::size_t>(i)];
    if (bytes == old) continue;
    for (std::size_t at = 0; at < bytes.size(); at += kSector) {
      if (random() % 2 == 0 || at >= old.size()) continue;
      const std::size_t size = std::min({kSector, bytes.size() - at, old.size() - at});
      bytes.replace(at, size, old, at, size);
    }
    std::ofstream(slot(i), std::ios::binary) << bytes;
  }
}

void SlotFiles::wipe() {
  close();
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) std::filesystem::remove(entry.path());
}

void SlotFiles::replace(const DurableState& state) {
  wipe();
  if (!open(state.self)) std::abort();
  if (state.seq > 1) persist(state);
  close();
}

}  // namespace ringagent::sim
