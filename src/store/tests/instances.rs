//! Who is on the store, and up to which change each has read it.

use super::*;

#[tokio::test]
async fn who_is_heard_of_is_known_until_it_is_buried_or_leaves() {
    for place in Place::all().await {
        let store = place.open().await;
        assert!(!store.beat("a", 3).await.unwrap(), "it was not known");
        assert!(store.beat("a", 5).await.unwrap() && !store.beat("b", 0).await.unwrap());
        let instance = |id: &str, settled, beats| Instance { id: id.to_owned(), settled, beats };
        assert_eq!(store.instances().await.unwrap(), [instance("a", 5, 1), instance("b", 0, 0)]);
        store.bury("a", 0).await.unwrap();
        assert_eq!(store.instances().await.unwrap().len(), 2, "it was heard of since");
        store.bury("a", 1).await.unwrap();
        store.leave("b").await.unwrap();
        assert_eq!(store.instances().await.unwrap(), []);
        assert!(!store.beat("a", 6).await.unwrap(), "it has to read anew");
    }
}
