//! Sets of routes: a bit for each, in pages, so that a full table costs an eighth of an octet per
//! route and a peer with two routes two pages at most.

const WORDS: usize = 32;
const PAGE: usize = WORDS * 64;

type Page = [u64; WORDS];

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct IdSet {
    pages: Vec<Option<Box<Page>>>,
    len: usize,
}

// === impl IdSet ===

impl IdSet {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        let (page, word, bit) = place(id);
        let page = self.pages.get(page).and_then(Option::as_deref);
        page.and_then(|page| page.get(word))
            .is_some_and(|word| word & bit != 0)
    }

    /// Whether it is new.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let (page, word, bit) = place(id);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let Some(slot) = self.pages.get_mut(page) else {
            return false;
        };
        let page = slot.get_or_insert_with(|| Box::new([0; WORDS]));
        let Some(word) = page.get_mut(word) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += usize::from(is_new);
        is_new
    }

    /// Whether it was there. Pages stay until the set is empty.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let (page, word, bit) = place(id);
        let page = self.pages.get_mut(page).and_then(Option::as_deref_mut);
        let Some(word) = page.and_then(|page| page.get_mut(word)) else {
            return false;
        };
        let was_there = *word & bit != 0;
        *word &= !bit;
        self.len -= usize::from(was_there);
        if self.len == 0 {
            self.pages = Vec::new();
        }
        was_there
    }

    /// The smallest that is not below `from`.
    pub(super) fn next_from(&self, from: u32) -> Option<u32> {
        let (first_page, first_word, bit) = place(from);
        let mut below = bit - 1;
        let mut word_at = first_word;
        for (at, page) in self.pages.iter().enumerate().skip(first_page) {
            for (in_page, word) in page
                .iter()
                .flat_map(|page| page.iter().enumerate())
                .skip(word_at)
            {
                let word = word & !below;
                below = 0;
                if word != 0 {
                    let id = at * PAGE + in_page * 64 + word.trailing_zeros() as usize;
                    return u32::try_from(id).ok();
                }
            }
            (below, word_at) = (0, 0);
        }
        None
    }

    /// In ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let id = self.next_from(from?)?;
            from = id.checked_add(1);
            Some(id)
        })
    }
}

fn place(id: u32) -> (usize, usize, u64) {
    let id = id as usize;
    (id / PAGE, id % PAGE / 64, 1 << (id % 64))
}
