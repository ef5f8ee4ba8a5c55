"""The bookkeeping of slots: whatever processes do, in any order, and whoever dies, no slot is lost or given twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from h5lightning.storage.readers.decoded.cache_slots import NO_SLOT, CacheSlots, DatasetSlots, slots_type
from h5lightning.storage.readers.decoded.shared_store import SharedOwners

MEMBERS, CAPACITY, COUNT = 3, 6, 20


class Books:
    """Slots that three processes share, and what each of them holds."""

    def __init__(self):
        self.books = np.zeros((), slots_type(CAPACITY, MEMBERS))
        self.slots_of = np.full(COUNT, NO_SLOT, np.int32)
        owners = SharedOwners(self.books["owner"], self.slots_of)
        self.members = [CacheSlots(self.books, owners, member) for member in range(MEMBERS)]
        self.dataset = DatasetSlots("store", self.slots_of)
        self.held = [[] for _ in range(MEMBERS)]  # (slots, those that are not filled yet)

    def take(self, member, numbers):
        """As a cache does; nothing if there is no room."""
        own = self.members[member]
        numbers = np.asarray(numbers)
        present = self.slots_of[numbers]
        excess = own.taken + int((present < 0).sum()) - CAPACITY
        oldest = own.oldest_idle(present, excess) if excess > 0 else None
        if excess > 0 and oldest is None:
            return
        if oldest is not None:
            own.forget(oldest)
        own.use(present[present >= 0])
        added = own.add(self.dataset, numbers[self.slots_of[numbers] < 0])
        self.held[member].append((self.slots_of[numbers].astype(np.int64), added))

    def fill(self, member, which):
        if self.held[member]:
            slots, unfilled = self.held[member].pop(which % len(self.held[member]))
            self.members[member].settle(unfilled[:1])
            self.held[member].append((slots, unfilled[1:]))

    def release(self, member, which):
        if self.held[member]:
            self.members[member].release(*self.held[member].pop(which % len(self.held[member])))

    def die(self, member, which):
        self.held[member] = []
        self.members[which % MEMBERS - 1].bury(member)

    def check(self):
        users = np.zeros((MEMBERS, CAPACITY), int)
        for member, claims in enumerate(self.held):
            for slots, _ in claims:
                users[member, slots] += 1
        assert (self.books["users"] == users).all()
        used, free, _ = self.books["state"].tolist()
        free_slots = self.books["free"][:free].tolist()
        assert len(set(free_slots)) == free
        assert max(free_slots, default=-1) < used <= CAPACITY
        assert not users[:, free_slots].any()
        owned = self.slots_of[self.slots_of >= 0].tolist()
        assert len(set(owned)) == len(owned)
        assert not set(owned) & set(free_slots)
        assert self.books["owner"][owned].tolist() == (np.flatnonzero(self.slots_of >= 0) + 1).tolist()
        # Every other slot is lost, and stays until nobody waits for it.
        lost = sorted(set(range(used)) - set(free_slots) - set(owned))
        assert np.flatnonzero(self.books["is_lost"]).tolist() == lost
        assert users[:, lost].any(axis=0).all()
        # What is not filled has somebody alive who fills it.
        unfilled = sorted(slot for claims in self.held for _, slots in claims for slot in slots)
        assert np.flatnonzero(self.books["filler"]).tolist() == unfilled
        assert not self.books["is_ready"][[*unfilled, *lost, *free_slots]].any()


MEMBER = st.integers(0, MEMBERS - 1)
NUMBERS = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=4, unique=True)
STEPS = st.one_of(
    st.tuples(st.just("take"), MEMBER, NUMBERS),
    st.tuples(st.sampled_from(["fill", "fill", "release", "die"]), MEMBER, st.integers(0, 7)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_whatever_processes_do_the_books_are_right(steps):
    books = Books()
    for step, member, what in steps:
        getattr(books, step)(member, what)
        books.check()
