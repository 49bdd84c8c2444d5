// SPDX-License-Identifier: GPL-2.0-or-later
// A doubly linked list whose links lie in the elements: no allocation, and any element can be taken
// out in constant time. An element is in at most one list by each of its links.
#pragma once

namespace hawser {

template <typename T>
struct Link {
    T* previous = nullptr;
    T* next = nullptr;
    bool linked = false;
};

template <typename T, Link<T> T::*Member>
class List {
public:
    bool empty() const { return m_first == nullptr; }
    T* first() const { return m_first; }

    void push_back(T& element) {
        Link<T>& link = element.*Member;
        link.previous = m_last;
        link.next = nullptr;
        link.linked = true;
        if (m_last != nullptr)
            (m_last->*Member).next = &element;
        else
            m_first = &element;
        m_last = &element;
    }

    void push_front(T& element) {
        Link<T>& link = element.*Member;
        link.previous = nullptr;
        link.next = m_first;
        link.linked = true;
        if (m_first != nullptr)
            (m_first->*Member).previous = &element;
        else
            m_last = &element;
        m_first = &element;
    }

    void remove(T& element) {
        Link<T>& link = element.*Member;
        if (!link.linked) return;
        if (link.previous != nullptr)
            (link.previous->*Member).next = link.next;
        else
            m_first = link.next;
        if (link.next != nullptr)
            (link.next->*Member).previous = link.previous;
        else
            m_last = link.previous;
        link = {};
    }

    T* pop_front() {
        T* element = m_first;
        if (element != nullptr) remove(*element);
        return element;
    }

private:
    T* m_first = nullptr;
    T* m_last = nullptr;
};

}  // namespace hawser
